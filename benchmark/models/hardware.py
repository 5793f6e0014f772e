"""Describe the hardware that a model runs on, as far as it can change a result."""

import ctypes
import gc
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TypedDict

from benchmark.models.gpus import exact_products, gpu_numbers, has_gpu, product_settings

_CGROUP = Path("/sys/fs/cgroup")
"""The limits of a Linux container (cgroup version 2)."""

_PROC = Path("/proc")
"""What Linux says about processes."""


class Hardware(TypedDict):
    """The name of a device, and its hardware class: results of one class are comparable."""

    device: str
    name: str
    hardware_class: str
    threads: int


def free_memory() -> int:
    """Return the bytes of memory still available to the process, within its container's limit."""
    import psutil

    free: int = psutil.virtual_memory().available
    limit, used, parts = (_CGROUP / f"memory.{name}" for name in ("max", "current", "stat"))
    try:
        # What was read from files counts as used, but makes room for anything else.
        files = dict(line.split() for line in parts.read_text().splitlines())["inactive_file"]
        return min(free, int(limit.read_text()) - int(used.read_text()) + int(files))
    except (OSError, ValueError, KeyError):  # not in a container, or without a limit ("max")
        return free


def trim_heap() -> None:
    """Give freed memory back to the system; glibc keeps what lies between blocks in use."""
    with suppress(AttributeError, OSError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def uncollected() -> Iterator[None]:
    """Exclude the objects that exist now from garbage collection until the block ends.

    They are those of the whole process. With transformers and a tokenizer there are half a million,
    and a collection takes half a second. If others have frozen objects before, nothing is done, as
    theirs could not be told from these afterwards.
    """
    if gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def release() -> None:
    """Return the memory of unused models to the device."""
    import torch

    gc.collect()
    trim_heap()
    if has_gpu():
        torch.cuda.empty_cache()


@contextmanager
def torch_threads(count: int | None) -> Iterator[None]:
    """Set the number of torch's CPU threads, and restore it afterwards; None changes nothing."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def describe(device: str) -> Hardware:
    """Return the hardware of a torch device.

    The class of a GPU is its name. The class of a CPU is its architecture and the widest vector
    instructions that torch uses, which determine the kernels and thus the rounding.
    """
    import torch

    threads = torch.get_num_threads()
    if device.startswith("cuda"):
        name = torch.cuda.get_device_name(gpu_numbers(device)[0])
        # CPU threads have no effect on the results of a GPU.
        return {"device": "cuda", "name": name, "hardware_class": name, "threads": 0}
    capability = torch.backends.cpu.get_cpu_capability()
    return {
        "device": device,
        "name": cpu_name(),
        "hardware_class": f"{platform.machine()} {capability}",
        "threads": threads,
    }


def described_products(device: str) -> dict[str, object]:
    """Return :func:`describe`, and of a GPU also what decides how its products are rounded.

    They are first set as for every model, which need not be loaded yet.
    """
    if not device.startswith("cuda"):
        return {**describe(device)}
    exact_products()
    return {**describe(device), **product_settings()}


def cpu_name() -> str:
    """Return the name of the processor's model."""
    names = _cpu_lines("model name")
    return names[0] if names else platform.processor() or platform.machine()


def cpu_flags() -> frozenset[str]:
    """Return the names of the processor's instruction sets; empty if the system has no list."""
    return frozenset(" ".join(_cpu_lines("flags", "Features")[:1]).split())


def has_bfloat16_instructions() -> bool:
    """Return whether the processor multiplies bfloat16 numbers itself."""
    return bool(cpu_flags() & {"avx512_bf16", "amx_bf16", "bf16"})


def cpu_kind() -> str:
    """Return the widest instructions of the processor that a product can use.

    One of ``amx``, ``avx512-bf16``, ``avx512`` and ``avx2``; ``other`` for a processor with none
    of them.
    """
    flags = cpu_flags()
    kinds = {"amx": "amx_bf16", "avx512-bf16": "avx512_bf16", "avx512": "avx512f", "avx2": "avx2"}
    return next((kind for kind, flag in kinds.items() if flag in flags), "other")


@cache
def _cpu_lines(*fields: str) -> tuple[str, ...]:
    """Return the values of these fields of every processor; empty if the system has no list."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ()
    pairs = (line.partition(":") for line in lines)
    return tuple(value.strip() for name, _, value in pairs if name.strip() in fields)


def waiting_seconds(*, own_thread: bool = False) -> float | None:
    """Return how long threads have waited for a processor that others used.

    Args:
        own_thread: whether only the calling thread counts, instead of all of this process.

    Returns:
        The seconds since the threads began; None if the system does not say, as on macOS and in
        some containers.
    """
    own, threads = _PROC / "thread-self" / "schedstat", _PROC / "self" / "task"
    ran = waited = 0
    for path in [own] if own_thread else threads.glob("*/schedstat"):
        with suppress(OSError, ValueError, IndexError):  # a thread that has ended
            numbers = [int(number) for number in path.read_text().split()]
            ran, waited = ran + numbers[0], waited + numbers[1]
    # A kernel that does not count has zeros, also for the time that a thread ran.
    return waited / 1e9 if ran else None


_CACHE_CAPACITIES = {"LRU_CACHE_CAPACITY": "64", "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64"}
"""The capacities of the kernel caches of torch's oneDNN bindings and of oneDNN itself.

A kernel is specific to a number of rows and a kind of layer, and takes hundreds of kilobytes. The
number of rows differs in almost every pass. By default both caches keep 1,024 kernels: about 450 MB
that are never used again.
"""


def limit_kernel_caches() -> None:
    """Limit oneDNN's kernel caches; call this before the first matrix product, which reads it."""
    for name, capacity in _CACHE_CAPACITIES.items():
        os.environ.setdefault(name, capacity)
