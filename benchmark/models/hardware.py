"""What a model runs on, as far as it can change a result."""

import gc
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypedDict

_CGROUP = Path("/sys/fs/cgroup")
"""Where Linux tells a container its limits (version 2)."""


class Hardware(TypedDict):
    """The device by name, and the hardware class under which results are comparable."""

    device: str
    name: str
    hardware_class: str
    threads: int


def has_gpu() -> bool:
    """Whether torch sees a CUDA GPU."""
    import torch

    return torch.cuda.is_available()


class Gpu(NamedTuple):
    """A visible GPU: what tells it from all others, and its memory in bytes."""

    identity: str
    memory: int


def gpus() -> tuple[Gpu, ...]:
    """The visible GPUs, in torch's order."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    found = (torch.cuda.get_device_properties(n) for n in range(count))
    return tuple(Gpu(f"gpu-{each.uuid}", each.total_memory) for each in found)


def gpu_memory(device: str) -> int | None:
    """The most bytes that a process has held on a GPU at once; None for any other device."""
    import torch

    return torch.cuda.max_memory_allocated(device) if device.startswith("cuda") else None


def free_memory() -> int:
    """Bytes of memory that a process can still take here, within its container's limit."""
    import psutil

    free: int = psutil.virtual_memory().available
    limit, used = (_CGROUP / name for name in ("memory.max", "memory.current"))
    try:
        return min(free, int(limit.read_text()) - int(used.read_text()))
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        return free


def release() -> None:
    """Give memory of models that are not used any more back to the device."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@contextmanager
def on_threads(count: int | None) -> Iterator[None]:
    """Compute on so many threads of the CPU, and on as many as before afterwards."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def describe(device: str) -> Hardware:
    """The hardware behind a torch device.

    The class of a GPU is its name. The class of a CPU is the architecture with the widest
    vectors that torch uses, which choose the kernels and so the rounding.
    """
    import torch

    threads = torch.get_num_threads()
    if device.startswith("cuda"):
        name = torch.cuda.get_device_name(torch.device(device.partition(",")[0]))
        # On a GPU the threads of the CPU change nothing.
        return {"device": "cuda", "name": name, "hardware_class": name, "threads": 0}
    capability = torch.backends.cpu.get_cpu_capability()
    return {
        "device": device,
        "name": _cpu_name(),
        "hardware_class": f"{platform.machine()} {capability}",
        "threads": threads,
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


_KEPT = {"LRU_CACHE_CAPACITY": "64", "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64"}
"""So many kernels are kept by what calls oneDNN, and as many by oneDNN itself.

There is one for each number of rows and kind of layer, hundreds of kilobytes in size, and passes
have another number of rows nearly every time. Unless told both keep 1,024: some 450 MB of kernels
that are not asked for again. Making one takes no time that could be measured.
"""


def keep_few_kernels() -> None:
    """To be called before the first product: that is when it is read."""
    for name, count in _KEPT.items():
        os.environ.setdefault(name, count)
