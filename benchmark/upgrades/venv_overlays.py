"""Build environments that differ from a base in a few libraries, each an overlay on it.

An overlay holds only what differs. Everything else, above all torch, comes from its base, this
environment or that of the engines, which follows it on ``sys.path``. pip sees those libraries and
installs only what a change needs, so that an overlay takes seconds and some megabytes.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from packaging.requirements import InvalidRequirement, Requirement

from benchmark.errors import SettingError
from benchmark.lifetime import run_tied
from benchmark.locking import LockHeldError, locked
from benchmark.package_data import is_installed
from benchmark.reading.files import read_text
from benchmark.runs.environment import libraries
from benchmark.upgrades.base_environment import BaseEnvironment, this_environment
from benchmark.upgrades.pip import run_pip
from benchmark.upgrades.requirements import (
    UnmetRequirement,
    installed_distributions,
    unmet_lines,
    unmet_requirements,
)
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
        """The path of the interpreter that runs probes."""

    @property
    def variables(self) -> Mapping[str, str]:
        """The environment variables that probes get."""

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
    base: BaseEnvironment = field(default_factory=this_environment)

    @property
    def interpreter(self) -> Path:
        """The path of the overlay's own interpreter."""
        scripts = "Scripts" if os.name == "nt" else "bin"
        return self.folder / scripts / self.base.python.name

    @property
    def python(self) -> Path:
        """The path of the interpreter that runs probes: this one if the overlay is an engine's."""
        return Path(sys.executable) if self.base.of_engines else self.interpreter

    @property
    def variables(self) -> Mapping[str, str]:
        """The environment variables that probes get."""
        return self.base.variables(self.folder)

    @property
    def site_packages(self) -> Path:
        """The folder of the overlay's own libraries."""
        return self.folder / Path(self.base.libraries[0]).relative_to(self.base.prefix)

    @property
    def unmet(self) -> tuple[str, ...]:
        """The declared requirements that are met in the base and not in the overlay.

        Checked are the recorded libraries, the overlay's own, and all that they require.
        """
        if self.base.of_engines:
            return tuple(sorted({one.line for one in self.newly_unmet()}))
        own = installed_distributions([str(self.site_packages)])
        base = self.base.installed
        roots = {*libraries(), *own}
        unmet_in_base = {*unmet_requirements(base, roots)}
        lines = unmet_requirements({**base, **own}, roots)
        return tuple(line for line in lines if line not in unmet_in_base)

    def newly_unmet(self) -> list[UnmetRequirement]:
        """Return what the overlay's own libraries require, and those of the base do not lack.

        ``make speed-engines`` leaves out what an engine does not need here; what one release does
        without, another one does without too.
        """
        own = installed_distributions([str(self.site_packages)])
        base = self.base.installed
        lacking = {one.key for one in unmet_lines(base, own)}
        unmet = unmet_lines({**base, **own}, own)
        return [one for one in unmet if one.key not in lacking]


@dataclass(frozen=True, slots=True)
class VenvOverlays:
    """Overlays on a base, kept in a folder; each is built once, by one process."""

    root: Path
    base: BaseEnvironment = field(default_factory=this_environment)

    def build(self, requirements: Sequence[str]) -> VenvOverlay:
        """Return the overlay with these requirements, which is built if it does not exist.

        Requirements that are missing from the index or conflict are remembered, until ``--retry``.
        Other failures, such as a full disk, are tried again the next time.

        Raises:
            NotInstallableError: if pip cannot install them, with pip's last line.
            SettingError: if a requirement is invalid.
        """
        valid = sorted(map(checked, requirements))
        name = _name(valid, self.base)
        overlay = VenvOverlay(self.root / name, name, self.base)
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
        if self.base.of_engines:  # whose Python may be another one
            _create_with(self.base.python, overlay.folder)
        else:
            venv.EnvBuilder(symlinks=os.name != "nt", with_pip=False).create(overlay.folder)
        _add_base(overlay)
        install = _install_engine if self.base.of_engines else _install
        if requirements and (reason := install(overlay, requirements)):
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


def _name(requirements: Sequence[str], base: BaseEnvironment) -> str:
    """Return a name that depends on the requirements, the base environment and the Python."""
    installed = sorted(f"{d.metadata['Name']} {d.version}" for d in base.installed.values())
    identity = json.dumps([base.version, str(base.prefix), installed, list(requirements)])
    words = "-".join(r.replace("==", "-") for r in requirements) or "unchanged"
    readable = "".join(c if c.isalnum() or c in "-._" else "_" for c in words)[:60]
    return f"{readable}-{hashlib.sha256(identity.encode()).hexdigest()[:10]}"


def _create_with(python: Path, folder: Path) -> None:
    """Create an environment with another Python.

    Raises:
        SettingError: if that fails.
    """
    words = ["-m", "venv", "--without-pip", *([] if os.name == "nt" else ["--symlinks"])]
    done = run_tied([str(python), *words, str(folder)])
    if done.returncode:
        raise SettingError(f"{folder}: {done.stderr.strip()[-200:]}")


def _add_base(overlay: VenvOverlay) -> None:
    """Append the base to the overlay's path, including its .pth files."""
    lines = [f"import site; site.addsitedir({path!r})\n" for path in overlay.base.libraries]
    overlay.site_packages.joinpath("zz_base.pth").write_text("".join(lines), encoding="utf-8")


def _install_engine(overlay: VenvOverlay, requirements: Sequence[str]) -> str | None:
    """Install releases of engines alone, and then what they require and the base does not have."""
    if reason := _install(overlay, requirements, "--no-deps"):
        return reason
    unmet = overlay.newly_unmet()
    more = sorted({str(one.requirement).partition(";")[0].strip() for one in unmet})
    return _install(overlay, more) if more else None


def _install(overlay: VenvOverlay, requirements: Iterable[str], *more: str) -> str | None:
    """Install requirements into an overlay; return None, or pip's reason for a failure."""
    command = ("--python", str(overlay.interpreter), "install")
    options = ("--quiet", "--no-compile", "--disable-pip-version-check", *more)
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
