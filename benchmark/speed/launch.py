"""How an engine's process is started: which Python, and what its environment says."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import benchmark
from benchmark.errors import MissingLibraryError
from benchmark.speed.specs import Spec

ROOT = Path(benchmark.__file__).parents[1]
ENVIRONMENT = ROOT / ".speed"
"""Made by ``make speed-engines``: the engines that want other libraries than the benchmark."""


class Start(NamedTuple):
    """A command, and what is added to the environment it runs in."""

    command: tuple[str, ...]
    environment: Mapping[str, str]


def start(spec: Spec, folder: Path = ENVIRONMENT) -> Start:
    """How to start the process of an engine.

    Raises:
        MissingLibraryError: when the environment that it runs in is not there.
    """
    python = Path(sys.executable) if spec.traits.environment == "own" else folder / "bin" / "python"
    if not python.exists():
        raise MissingLibraryError(f"{spec.label}: not installed; run: make speed-engines")
    # The benchmark is not installed in the other environment: it is found from here.
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    variables = {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    if preload := _libraries(spec, folder):
        variables["LD_PRELOAD"] = os.pathsep.join(map(str, preload))
    if spec.traits.threads:
        variables["VLLM_CPU_OMP_THREADS_BIND"] = ",".join(map(str, _processors()))
    return Start((str(python), "-m", spec.traits.worker), variables)


def _libraries(spec: Spec, folder: Path) -> list[Path]:
    found = []
    for name in spec.traits.preload:
        paths = sorted(folder.rglob(f"{name}*"))
        if not paths:
            raise MissingLibraryError(
                f"{spec.label}: no {name} in {folder}; run: make speed-engines"
            )
        found.append(paths[0])
    return found


def _processors() -> list[int]:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
