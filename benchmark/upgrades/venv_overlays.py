"""Environments that differ from this one in a few libraries, each a thin layer over it.

A layer holds only what differs: everything else, torch above all, is this environment's own,
which stands behind it on the path. pip sees it there, installs what a change needs and keeps the
rest, so that a layer takes seconds and some megabytes.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import distributions
from importlib.resources import files
from pathlib import Path
from typing import Protocol

from filelock import FileLock
from packaging.requirements import InvalidRequirement, Requirement

from benchmark.errors import SettingError
from benchmark.upgrades.pip import run_pip

_MADE = "made.json"
_REFUSED = "refused.txt"
_UNREACHED = "Retrying (Retry("
_FOR_GOOD = ("No matching distribution", "ResolutionImpossible", "conflict", "requires a different")
"""What pip says where another try would end alike."""
_PATIENCE = 1800
"""Seconds that an installation may take: a release of torch is hundreds of megabytes."""


class NotInstallableError(SettingError):
    """The package index does not have such libraries for this Python, or not together."""


class Installed(Protocol):
    """An environment, as whoever runs something in it needs it."""

    @property
    def python(self) -> Path:
        """Its interpreter."""

    @property
    def name(self) -> str:
        """A short name that no other set of libraries has."""


class Maker(Protocol):
    """Makes environments; tests have one of their own."""

    def make(self, requirements: Sequence[str]) -> Installed:
        """The environment with these libraries.

        Raises:
            NotInstallableError: when it cannot be made.
        """


@dataclass(frozen=True, slots=True)
class VenvOverlay:
    """A layer on disk."""

    folder: Path
    name: str

    @property
    def python(self) -> Path:
        """Its interpreter."""
        scripts = "Scripts" if os.name == "nt" else "bin"
        return self.folder / scripts / Path(sys.executable).name


@dataclass(frozen=True, slots=True)
class VenvOverlays:
    """Layers over this environment, kept in a folder; one is made once, by one process."""

    root: Path

    def make(self, requirements: Sequence[str]) -> VenvOverlay:
        """The layer with these libraries, made when it is not there yet.

        What the index has not, or not together, is remembered too; ``--retry`` forgets it. What
        failed otherwise, on a full disk say, is tried again the next time.

        Raises:
            NotInstallableError: when pip cannot install them, with its last line.
            SettingError: when a requirement is not one.
        """
        wanted = sorted(map(checked, requirements))
        name = _name(wanted)
        layer = VenvOverlay(self.root / name, name)
        self.root.mkdir(parents=True, exist_ok=True)
        with FileLock(self.root / f"{name}.lock"):
            refused = self.root / f"{name}.{_REFUSED}"
            if refused.is_file():
                raise NotInstallableError(refused.read_text(encoding="utf-8").strip())
            if not (layer.folder / _MADE).is_file():
                self._build(layer, wanted)
        return layer

    def forget_refusals(self) -> None:
        """Try again what could not be installed."""
        for path in self.root.glob(f"*.{_REFUSED}"):
            path.unlink()

    def _build(self, layer: VenvOverlay, wanted: Sequence[str]) -> None:
        shutil.rmtree(layer.folder, ignore_errors=True)  # half of one that was stopped
        venv.EnvBuilder(symlinks=os.name != "nt", with_pip=False).create(layer.folder)
        _stand_on(layer.folder)
        if wanted and (reason := _install(layer, wanted)):
            shutil.rmtree(layer.folder, ignore_errors=True)
            if any(words in reason for words in _FOR_GOOD):
                (self.root / f"{layer.name}.{_REFUSED}").write_text(f"{reason}\n", encoding="utf-8")
            raise NotInstallableError(reason)
        # Written last: a layer without it is not whole.
        (layer.folder / _MADE).write_text(json.dumps(list(wanted)) + "\n", encoding="utf-8")


def checked(requirement: str) -> str:
    """A requirement as pip understands it.

    Raises:
        SettingError: when it is not one.
    """
    try:
        return str(Requirement(requirement))
    except InvalidRequirement as error:
        raise SettingError(f"{requirement!r} is no requirement; write name==version") from error


def project_root() -> Path:
    """The folder that holds the package of the project that is running."""
    return Path(str(files("benchmark"))).parent


def python_path(root: Path) -> dict[str, str]:
    """The variables under which a layer runs the project of that folder.

    An installed project stands among its libraries, which must not go before the layer's.
    """
    behind = {Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")}
    return {} if root in behind else {"PYTHONPATH": str(root)}


def _name(wanted: Sequence[str]) -> str:
    """Of the libraries, of what stands behind them, and of the Python."""
    behind = sorted(f"{d.metadata['Name']} {d.version}" for d in distributions())
    identity = json.dumps([sys.version, sys.prefix, behind, list(wanted)])
    words = "-".join(w.replace("==", "-") for w in wanted) or "unchanged"
    readable = "".join(c if c.isalnum() or c in "-._" else "_" for c in words)[:60]
    return f"{readable}-{hashlib.sha256(identity.encode()).hexdigest()[:10]}"


def _stand_on(folder: Path) -> None:
    """Put this environment behind the layer, with the .pth files that are in it."""
    inside = sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)})
    behind = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    lines = [f"import site; site.addsitedir({path!r})\n" for path in behind]
    Path(inside, "zz_behind.pth").write_text("".join(lines), encoding="utf-8")


def _install(layer: VenvOverlay, wanted: Sequence[str]) -> str | None:
    """None, or the line in which pip says why not."""
    options = ("--quiet", "--no-compile", "--disable-pip-version-check")
    try:
        done = run_pip(
            "--python", str(layer.python), "install", *options, *wanted, patience=_PATIENCE
        )
    except subprocess.TimeoutExpired:
        return f"pip took more than {_PATIENCE} s"
    if done.returncode == 0:
        return None
    if _UNREACHED in done.stderr:  # pip goes on to say that there are no such releases
        raise SettingError("the package index cannot be reached; try again, what is made is kept")
    lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    return (lines or done.stderr.strip().splitlines() or ["pip failed"])[-1]
