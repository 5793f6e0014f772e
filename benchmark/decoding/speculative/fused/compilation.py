"""How Numba compiles the kernels: for this processor, once, into the cache folder."""

import hashlib
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba import extending
from numba.core.registry import cpu_target

from benchmark.models.cache_folder import cache_folder
from benchmark.models.hardware import cpu_flags

_KEPT = 4
"""Compiled kernels are kept of this many versions of their code."""

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _folder() -> Path:
    """Return the folder of this version's compiled kernels.

    Numba compiles again if a function's own file changes, but does not notice if one that it calls
    does: each version of all of these files has a folder of its own.
    """
    files = sorted(Path(__file__).parent.glob("*.py"))
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
    return cache_folder() / "kernels" / digest


def _keeps_compiled() -> bool:
    """Let Numba keep what it compiles; return whether the folder can be written to."""
    folder = _folder()
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        folder.touch()
        versions = sorted(folder.parent.iterdir(), key=lambda path: path.stat().st_mtime)
        for version in versions[:-_KEPT]:
            shutil.rmtree(version, ignore_errors=True)
    if not os.access(folder, os.W_OK):
        return False
    numba.config.CACHE_DIR = str(folder)
    return True


def forget() -> None:
    """Remove what was compiled, which may be damaged; the next process compiles it again."""
    shutil.rmtree(_folder(), ignore_errors=True)


# The layer that torch uses too; Numba's own is slower than torch's operations.
numba.config.THREADING_LAYER = "omp"

# LLVM prefers vectors of half the width on processors whose clock slows down with the widest; with
# torch's products around the kernels it is that slow anyway. This holds for all that Numba compiles
# in the process, if it has not compiled anything yet.
if "avx512f" in cpu_flags() and numba.config.CPU_FEATURES is None:
    with suppress(ImportError):  # a later Numba, as it is no public function
        from numba.core.codegen import get_host_cpu_features

        if features := get_host_cpu_features():
            numba.config.CPU_FEATURES = f"{features},-prefer-256-bit"

# No fastmath: the order of sums is part of a kernel, so that it has the same result in each process
# and on each processor. (Numba compiles a parallel function twice, into the process and into its
# cache, and LLVM may take another order in each.)
_OPTIONS: dict[str, Any] = {"error_model": "numpy"}
_CACHE = _keeps_compiled()


def target_features() -> frozenset[str]:
    """Return the instruction sets that Numba compiles for, such as ``+avx2``."""
    _, _, features = cpu_target.target_context.codegen().magic_tuple()
    return frozenset(features.split(","))


def compiled(function: _Function) -> _Function:
    """Compile a function that kernels call."""
    result: _Function = numba.njit(**_OPTIONS)(function)
    return result


def parallel(function: _Function) -> _Function:
    """Compile a kernel, whose outer loops are spread over threads."""
    result: _Function = numba.njit(**_OPTIONS, parallel=True, cache=_CACHE)(function)
    return result


def intrinsic(function: _Function) -> Callable[..., Any]:
    """Make a function for kernels of one that writes LLVM's instructions."""
    result: Callable[..., Any] = extending.intrinsic(function)
    return result


def overload(function: Callable[..., Any]) -> Callable[[_Function], _Function]:
    """Let another function choose how ``function`` is compiled, by the types of its arguments."""
    result: Callable[[_Function], _Function] = extending.overload(
        function, jit_options=_OPTIONS, strict=False
    )
    return result
