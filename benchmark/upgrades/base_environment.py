"""The environment that overlays extend: this one, or that of the engines."""

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.decoding.engines import ENGINES
from benchmark.decoding.external.launch import ENVIRONMENT_VARIABLE, engine_environment
from benchmark.errors import SettingError
from benchmark.lifetime import run_tied
from benchmark.upgrades.requirements import Installed, installed_distributions

_SCRIPT = """
import json, sys, sysconfig
names = ("purelib", "platlib")
print(json.dumps({"version": sys.version, "path": sys.path,
                  "libraries": [sysconfig.get_path(name) for name in names]}))
"""
_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class BaseEnvironment:
    """An environment, and what its overlays are for.

    Attributes:
        python: its interpreter.
        version: that of the interpreter, in full.
        prefix: its folder.
        libraries: the folders of its libraries.
        path: where its interpreter looks for modules.
        of_engines: whether probes run in this environment, and only an engine's process in the
            overlay.
    """

    python: Path
    version: str
    prefix: Path
    libraries: tuple[str, ...]
    path: tuple[str, ...]
    of_engines: bool = False
    _cached: dict[str, Installed] = field(default_factory=dict, compare=False)

    @property
    def installed(self) -> Installed:
        """The distributions of the environment, by canonical name."""
        if "all" not in self._cached:
            self._cached["all"] = installed_distributions(self.path)
        return self._cached["all"]

    def variables(self, overlay: Path) -> Mapping[str, str]:
        """Return the variables with which a probe uses an overlay."""
        return {ENVIRONMENT_VARIABLE: str(overlay)} if self.of_engines else {}


def this_environment() -> BaseEnvironment:
    """Return the environment of this process."""
    libraries = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    return BaseEnvironment(
        Path(sys.executable), sys.version, Path(sys.prefix), tuple(libraries), tuple(sys.path)
    )


def environment_of(engine: str) -> BaseEnvironment:
    """Return the environment that an engine runs in.

    Raises:
        MissingLibraryError: if the engine is not installed.
        SettingError: if its Python does not run.
    """
    prefix = engine_environment(engine, ENGINES[engine].speed)
    here = prefix == Path(sys.prefix)
    python = Path(sys.executable) if here else prefix / "bin" / "python"
    # Not the variables of this process, whose PYTHONPATH would hide libraries there.
    clean = {n: v for n, v in os.environ.items() if n not in {"PYTHONPATH", ENVIRONMENT_VARIABLE}}
    try:
        done = run_tied([str(python), "-c", _SCRIPT], environment=clean, timeout=_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise SettingError(f"{python}: does not run: more than {_SECONDS:.0f} s") from error
    if done.returncode:
        raise SettingError(f"{python}: does not run: {done.stderr.strip()[-200:]}")
    told = json.loads(done.stdout)
    libraries = tuple(dict.fromkeys(told["libraries"]))
    path = tuple(part for part in told["path"] if part)
    return BaseEnvironment(python, told["version"], prefix, libraries, path, of_engines=True)
