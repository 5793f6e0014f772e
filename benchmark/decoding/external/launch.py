"""How an engine's process is started: which Python, with which environment variables."""

import os
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from benchmark.decoding.engines import SpeedTraits
from benchmark.errors import MissingLibraryError
from benchmark.package_data import is_installed, package_parent

ENVIRONMENT = package_parent() / ".speed"
"""Created by ``make speed-engines`` for engines with their own versions of libraries."""

ENVIRONMENT_VARIABLE = "ENTITY_TRACKING_ENGINES"
"""Names another environment with engines, such as that of a release."""


class LaunchCommand(NamedTuple):
    """A command, and the environment variables to add."""

    command: tuple[str, ...]
    environment: Mapping[str, str]


def engines_folder() -> Path:
    """Return the environment with engines, which may not exist."""
    return Path(os.environ.get(ENVIRONMENT_VARIABLE) or ENVIRONMENT)


def launch_command(
    label: str, traits: SpeedTraits, folder: Path | None = None, worker: str | None = None
) -> LaunchCommand:
    """Return how to start the process of an engine; ``label`` names it in errors.

    ``worker`` is the module to run, by default that of ``speed``.

    Raises:
        MissingLibraryError: if the environment that it runs in does not exist.
    """
    prefix = engine_environment(label, traits, folder)
    here = prefix == Path(sys.prefix)
    python = Path(sys.executable) if here else prefix / "bin" / "python"
    variables = {} if here and is_installed() else {"PYTHONPATH": _python_path()}
    if preload := _libraries(label, traits, prefix):
        variables["LD_PRELOAD"] = os.pathsep.join(map(str, preload))
    if traits.threads:
        variables["VLLM_CPU_OMP_THREADS_BIND"] = ",".join(map(str, processors()))
    return LaunchCommand((str(python), "-m", worker or traits.worker), variables)


def engine_environment(label: str, traits: SpeedTraits, folder: Path | None = None) -> Path:
    """Return the environment of an engine: the folder's if it exists, or this one."""
    here, package = Path(sys.prefix), traits.package
    folder = folder or engines_folder()
    if traits.environment == "own":
        return here
    if (folder / "bin" / "python").exists():
        return folder
    if package and find_spec(package) is not None:
        return here
    # An installed benchmark has no Makefile.
    advice = f"pip install {package}" if is_installed() else "make speed-engines"
    raise MissingLibraryError(f"{label}: not installed; run: {advice}")


def _python_path() -> str:
    """Return the path on which another process finds the benchmark."""
    return os.pathsep.join(filter(None, (str(package_parent()), os.environ.get("PYTHONPATH", ""))))


def _libraries(label: str, traits: SpeedTraits, folder: Path) -> list[Path]:
    libraries = []
    for name in traits.preload:
        paths = sorted(folder.rglob(f"{name}*"))
        if not paths:
            raise MissingLibraryError(
                f"{label}: no {name} in {folder}; make speed-engines installs it, in .speed"
            )
        libraries.append(paths[0])
    return libraries


def processors() -> list[int]:
    """Return the processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
