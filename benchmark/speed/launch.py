"""How an engine's process is started: which Python, with which environment variables."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import benchmark
from benchmark.errors import MissingLibraryError
from benchmark.speed.specs import EngineSpec

ROOT = Path(benchmark.__file__).parents[1]
ENVIRONMENT = ROOT / ".speed"
"""Created by ``make speed-engines`` for engines with their own versions of libraries."""


class LaunchCommand(NamedTuple):
    """A command, and the environment variables to add."""

    command: tuple[str, ...]
    environment: Mapping[str, str]


def launch_command(spec: EngineSpec, folder: Path = ENVIRONMENT) -> LaunchCommand:
    """Return how to start the process of an engine.

    Raises:
        MissingLibraryError: if the environment that it runs in does not exist.
    """
    python = Path(sys.executable) if spec.traits.environment == "own" else folder / "bin" / "python"
    if not python.exists():
        raise MissingLibraryError(f"{spec.label}: not installed; run: make speed-engines")
    # The benchmark is not installed in the other environment.
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    variables = {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    if preload := _libraries(spec, folder):
        variables["LD_PRELOAD"] = os.pathsep.join(map(str, preload))
    if spec.traits.threads:
        variables["VLLM_CPU_OMP_THREADS_BIND"] = ",".join(map(str, _processors()))
    return LaunchCommand((str(python), "-m", spec.traits.worker), variables)


def _libraries(spec: EngineSpec, folder: Path) -> list[Path]:
    libraries = []
    for name in spec.traits.preload:
        paths = sorted(folder.rglob(f"{name}*"))
        if not paths:
            raise MissingLibraryError(
                f"{spec.label}: no {name} in {folder}; run: make speed-engines"
            )
        libraries.append(paths[0])
    return libraries


def _processors() -> list[int]:
    """Return the processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
