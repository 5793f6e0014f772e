"""Build environments that differ from this one in a few libraries, each an overlay on it.

An overlay holds only what differs. Everything else, above all torch, comes from this environment,
which follows it on ``sys.path``. pip sees those libraries and installs only what a change needs, so
that an overlay takes seconds and some megabytes.
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
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Protocol

from packaging.requirements import InvalidRequirement, Requirement

from benchmark.errors import SettingError
from benchmark.locking import LockHeldError, locked
from benchmark.package_data import is_installed
from benchmark.reading.files import read_text
from benchmark.runs.environment import libraries
from benchmark.upgrades.pip import run_pip
from benchmark.upgrades.requirements import installed_distributions, unmet_requirements
from benchmark.writing import ensure_folder, remove_all_leftovers, write_text

_COMPLETE = "made.json"
_PURPOSE = "building the same environment"
_OTHER_CACHE = "set XDG_CACHE_HOME to a folder on a local disk"
_REFUSED = "refused.txt"
_UNREACHABLE = "Retrying (Retry("
_PERMANENT = (
    *("No matching distribution", "ResolutionImpossible", "conflict", "requires a different"),
)
"""Parts of pip's errors that another try would not change."""
_PATIENCE = 1800
"""The longest time for an installation, in seconds: torch alone is hundreds of megabytes."""


class NotInstallableError(SettingError):
    """The package index has no such libraries for this Python, or they conflict."""


class PythonEnvironment(Protocol):
    """An environment in which a process can be started."""

    @property
    def python(self) -> Path:
        """The path of the interpreter."""

    @property
    def name(self) -> str:
        """A short name that is unique to its libraries."""

    @property
    def unmet(self) -> tuple[str, ...]:
        """The declared requirements that are not met, one line each."""


class EnvironmentBuilder(Protocol):
    """Builds environments; tests use a fake one."""

    def build(self, requirements: Sequence[str]) -> PythonEnvironment:
        """Return the environment with these requirements.

        Raises:
            NotInstallableError: if they cannot be installed.
        """


@dataclass(frozen=True, slots=True)
class VenvOverlay:
    """An overlay on disk."""

    folder: Path
    name: str

    @property
    def python(self) -> Path:
        """The path of the interpreter."""
        scripts = "Scripts" if os.name == "nt" else "bin"
        return self.folder / scripts / Path(sys.executable).name

    @property
    def unmet(self) -> tuple[str, ...]:
        """The declared requirements that are met in this environment and not in the overlay.

        Checked are the recorded libraries, the overlay's own, and all that they require.
        """
        own = installed_distributions([_site_packages(self.folder)])
        base = installed_distributions(sys.path)
        roots = {*libraries(), *own}
        unmet_in_base = set(unmet_requirements(base, roots))
        lines = unmet_requirements({**base, **own}, roots)
        return tuple(line for line in lines if line not in unmet_in_base)


@dataclass(frozen=True, slots=True)
class VenvOverlays:
    """Overlays on this environment, kept in a folder; each is built once, by one process."""

    root: Path

    def build(self, requirements: Sequence[str]) -> VenvOverlay:
        """Return the overlay with these requirements, which is built if it does not exist.

        Requirements that are missing from the index or conflict are remembered, until ``--retry``.
        Other failures, such as a full disk, are tried again the next time.

        Raises:
            NotInstallableError: if pip cannot install them, with pip's last line.
            SettingError: if a requirement is invalid.
        """
        valid = sorted(map(checked, requirements))
        name = _name(valid)
        overlay = VenvOverlay(self.root / name, name)
        ensure_folder(self.root)
        with locked(self.root / f"{name}.lock", _PURPOSE, _OTHER_CACHE):
            refused = self.root / f"{name}.{_REFUSED}"
            if refused.is_file():
                raise NotInstallableError(read_text(refused).strip())
            if not (overlay.folder / _COMPLETE).is_file():
                self._build(overlay, valid)
        return overlay

    def remove_unfinished(self) -> None:
        """Remove what killed processes have left unfinished; not what another one builds."""
        for folder in sorted(self.root.glob("*/")):
            if (folder / _COMPLETE).is_file():
                continue
            lock = self.root / f"{folder.name}.lock"
            with suppress(LockHeldError), locked(lock, _PURPOSE, _OTHER_CACHE, wait=False):
                if not (folder / _COMPLETE).is_file():
                    shutil.rmtree(folder, ignore_errors=True)
        remove_all_leftovers(self.root)

    def forget_refusals(self) -> None:
        """Forget what could not be installed, so that it is tried again."""
        for path in self.root.glob(f"*.{_REFUSED}"):
            path.unlink()

    def _build(self, overlay: VenvOverlay, requirements: Sequence[str]) -> None:
        shutil.rmtree(overlay.folder, ignore_errors=True)  # an earlier attempt may be unfinished
        try:
            self._create(overlay, requirements)
        except BaseException:
            shutil.rmtree(overlay.folder, ignore_errors=True)
            raise

    def _create(self, overlay: VenvOverlay, requirements: Sequence[str]) -> None:
        venv.EnvBuilder(symlinks=os.name != "nt", with_pip=False).create(overlay.folder)
        _add_base(overlay.folder)
        if requirements and (reason := _install(overlay, requirements)):
            if any(words in reason for words in _PERMANENT):
                write_text(self.root / f"{overlay.name}.{_REFUSED}", [reason, "\n"])
            raise NotInstallableError(reason)
        # Written last: an overlay without this file is incomplete.
        parts = [json.dumps(list(requirements)), "\n"]
        write_text(overlay.folder / _COMPLETE, parts, make_folder=False)


def checked(requirement: str) -> str:
    """Return a requirement in pip's spelling.

    Raises:
        SettingError: if it is invalid.
    """
    try:
        return str(Requirement(requirement))
    except InvalidRequirement as error:
        raise SettingError(f"{requirement!r} is not a requirement; write name==version") from error


def python_path(root: Path) -> dict[str, str]:
    """Return the variables with which an overlay runs the project in a folder.

    An installed project is found without them; its folder holds libraries too, which must not come
    before the overlay's.
    """
    return {} if is_installed(root) else {"PYTHONPATH": str(root)}


def _name(requirements: Sequence[str]) -> str:
    """Return a name that depends on the requirements, the base environment and the Python."""
    base = sorted(f"{d.metadata['Name']} {d.version}" for d in distributions())
    identity = json.dumps([sys.version, sys.prefix, base, list(requirements)])
    words = "-".join(r.replace("==", "-") for r in requirements) or "unchanged"
    readable = "".join(c if c.isalnum() or c in "-._" else "_" for c in words)[:60]
    return f"{readable}-{hashlib.sha256(identity.encode()).hexdigest()[:10]}"


def _site_packages(folder: Path) -> str:
    return sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)})


def _add_base(folder: Path) -> None:
    """Append this environment to the overlay's path, including its .pth files."""
    base = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    lines = [f"import site; site.addsitedir({path!r})\n" for path in base]
    Path(_site_packages(folder), "zz_base.pth").write_text("".join(lines), encoding="utf-8")


def _install(overlay: VenvOverlay, requirements: Sequence[str]) -> str | None:
    """Install requirements into an overlay; return None, or pip's reason for a failure."""
    command = ("--python", str(overlay.python), "install")
    options = ("--quiet", "--no-compile", "--disable-pip-version-check")
    try:
        done = run_pip(*command, *options, *requirements, patience=_PATIENCE)
    except subprocess.TimeoutExpired:
        return f"pip took more than {_PATIENCE} s"
    if done.returncode == 0:
        return None
    if _UNREACHABLE in done.stderr:  # pip then also says that there are no such releases
        raise SettingError(
            "the package index is unreachable; finished records are saved, rerun to resume"
        )
    lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    return (lines or done.stderr.strip().splitlines() or ["pip failed"])[-1]
