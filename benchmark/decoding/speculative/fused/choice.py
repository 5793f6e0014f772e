"""Whether the kernels can be used for a model on this machine."""

import os
import platform
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

import torch

from benchmark.models.hardware import cpu_flags

if TYPE_CHECKING:
    from benchmark.decoding.speculative.fused.passes import FusedKernels

NAME = "Numba"
"""What compiles the kernels."""

_DTYPES = (torch.float32, torch.bfloat16)


def fused_kernels(device: torch.device, dtype: torch.dtype) -> "FusedKernels | None":
    """Return the kernels for a device and dtype; None without Numba, and if there are none.

    A process that was forked from one that has used them gets none: OpenMP's threads do not survive
    a fork, and Numba ends a process that tries.
    """
    if device.type != "cpu" or dtype not in _DTYPES or _users - {os.getpid()}:
        return None
    kernels = _loaded()
    if kernels is None:
        return None
    _users.add(os.getpid())
    return kernels()


def described(kernels: "FusedKernels") -> str:
    """Return what decides the last bits of the kernels' results, in words.

    After the trial of a model, which has each of its layers attend.
    """
    return f"{NAME}, tiles of AMX" if kernels.used_tiles else NAME


_users: set[int] = set()
"""The process that uses the kernels; in its children their threads would end the process."""


@cache
def _loaded() -> "type[FusedKernels] | None":
    flags = cpu_flags()
    if platform.machine() == "x86_64" and flags and "fma" not in flags:
        return None  # products that are rounded once would be computed by a slow function
    try:
        # Numba's threads by OpenMP, as torch's; its wheels leave that library to the system.
        import_module("numba.np.ufunc.omppool")
        from benchmark.decoding.speculative.fused.passes import FusedKernels
    except ImportError:
        return None
    return FusedKernels
