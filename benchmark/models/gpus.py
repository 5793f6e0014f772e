"""The GPUs that torch sees: why there is none, how much memory is free, and what a model takes.

Everything that asks torch whether there is a GPU asks here. A driver that is older than torch's
CUDA makes that question warn, which would end a test run that turns warnings into errors.
"""

import os
import re
import subprocess
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

from benchmark.errors import DoesNotFitError

_SMI = "nvidia-smi"
_FIELDS = ("uuid", "memory.free", "compute_mode", "mig.mode.current")
_SECONDS = 30
"""The time for ``nvidia-smi``, which takes seconds where no process keeps the driver loaded."""

_GB, _MIB = 10**9, 2**20
_MIG, _MIG_NOTE = "mig-", "a MIG instance"
_LARGEST_SHARE = 0.92
"""What vLLM asks for by default; the rest is for what it does not count."""

_MODULE = Path("/proc/driver/nvidia/version")
"""What the kernel module of the driver says about itself."""

_OLD_DRIVER = "driver on your system is too old"
_OTHER_BUILD = (
    "update it, or install PyTorch's build for an older CUDA, such as: uv pip install "
    "--torch-backend=cu126 torch"
)


class Gpu(NamedTuple):
    """A visible GPU: its unique identity, its memory in bytes, and its name."""

    identity: str
    memory: int
    name: str = "GPU"


class GpuUse(NamedTuple):
    """The free memory of a GPU in bytes, and a note if something limits its use."""

    free: int
    note: str = ""


def has_gpu() -> bool:
    """Return whether torch sees a CUDA GPU; a driver that is too old counts as none."""
    import torch

    _first_warning()
    with _quiet():
        return torch.cuda.is_available()


def missing_gpu() -> str:
    """Return why torch sees no GPU, in a few words without a full stop."""
    import torch

    if text := _first_warning():
        return text
    if torch.version.cuda is None and torch.version.hip is None:
        return f"PyTorch {torch.__version__} is a build for CPUs"
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return f"CUDA_VISIBLE_DEVICES is {visible!r}"
    return "there is no GPU, or no driver for it"


@cache  # torch warns once per process
def _first_warning() -> str:
    import torch

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        available = torch.cuda.is_available()
    return "" if available or not caught else _shortened(str(caught[0].message))


def _shortened(warning: str) -> str:
    """Return the cause in a warning of torch, and what to do about an old driver."""
    text = " ".join(warning.partition("(Triggered")[0].split())
    text = text.removeprefix("CUDA initialization: ")
    if _OLD_DRIVER in text:
        return f"{text.partition('. ')[0].removeprefix('The ')}; {_OTHER_BUILD}"
    cause = re.search(r"Error \d+: .*", text)
    return cause[0] if cause else text.removesuffix(".")


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def gpus() -> tuple[Gpu, ...]:
    """Return the visible GPUs, in torch's order. This takes no memory on any of them."""
    import torch

    count = torch.cuda.device_count() if has_gpu() else 0
    properties = [torch.cuda.get_device_properties(n) for n in range(count)]
    return tuple(
        Gpu(_instance(n) or f"gpu-{gpu.uuid}", gpu.total_memory, gpu.name)
        for n, gpu in enumerate(properties)
    )


def _instance(number: int) -> str | None:
    """Return the identity of a MIG instance that is visible under its own UUID, else None.

    Several of them are on one GPU, whose UUID does not tell them apart.
    """
    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    name = visible[number] if number < len(visible) else ""
    return re.sub(r"[^\w-]", "_", f"{_MIG}{name[len(_MIG) :]}") if name[:4] == "MIG-" else None


def gpu_numbers(device: str) -> tuple[int, ...]:
    """Return torch's numbers of the GPUs of a device such as ``cuda:0,1``; ``cuda`` has all.

    Any other device has none.
    """
    import torch

    kind, _, numbers = device.partition(":")
    if kind != "cuda":
        return ()
    return (
        tuple(map(int, numbers.split(","))) if numbers else tuple(range(torch.cuda.device_count()))
    )


def peak_gpu_memory(device: str) -> int | None:
    """Return the peak memory of this process in bytes, added up over the GPUs of a device.

    It is None for any other device.
    """
    import torch

    if not (numbers := gpu_numbers(device)):
        return None
    return sum(torch.cuda.max_memory_allocated(number) for number in numbers)


def reset_peak_gpu_memory(device: str) -> None:
    """Let :func:`peak_gpu_memory` begin with what is allocated now, before another model."""
    import torch

    for number in gpu_numbers(device):
        torch.cuda.reset_peak_memory_stats(number)


def synchronize(device: str) -> None:
    """Wait until GPUs have finished what they were given; on a CPU nothing is waited for."""
    import torch

    for number in gpu_numbers(device):
        torch.cuda.synchronize(number)


def gpu_uses(visible: Sequence[Gpu], numbers: Sequence[int]) -> dict[int, GpuUse]:
    """Return the free memory of these GPUs, by their numbers.

    The driver's tool is asked first: asking CUDA takes half a gigabyte on each GPU for the rest of
    this process. CUDA is asked about GPUs that the tool does not list, and about those in MIG
    mode, of which a process sees a part.
    """
    listed = _listed()
    return {
        n: _asked(n, _MIG_NOTE)
        if visible[n].identity.startswith(_MIG)
        else _use(n, listed.get(visible[n].identity))
        for n in numbers
    }


def free_share(count: int, reserved: int) -> float:
    """Return the share of each GPU's memory that a program may ask for on the first GPUs.

    It is that of the fullest one, rounded down to a thousandth, and at most
    :data:`_LARGEST_SHARE`.

    Args:
        count: the number of GPUs; those of other machines are not asked.
        reserved: the bytes of the free memory that stay free, for what the program does not count.

    Raises:
        DoesNotFitError: if one has no more than that.
    """
    visible = gpus()
    uses = gpu_uses(visible, range(min(count, len(visible))))
    shares = [(use.free - reserved) / visible[n].memory for n, use in uses.items()]
    share = int(min([_LARGEST_SHARE, *shares]) * 1000) / 1000
    if share <= 0:
        raise DoesNotFitError(f"too little memory is free: {describe_uses(visible, uses)}")
    return share


def describe_uses(visible: Sequence[Gpu], uses: Mapping[int, GpuUse]) -> str:
    """Return the free memory of GPUs, and what limits their use, in words."""
    return ", ".join(
        f"cuda:{n} ({visible[n].name}) {use.free / _GB:.0f} of {visible[n].memory / _GB:.0f} GB"
        f"{f' ({use.note})' if use.note else ''}"
        for n, use in uses.items()
    )


def _use(number: int, row: Sequence[str] | None) -> GpuUse:
    free, mode, mig = row or ("", "", "")
    if mode == "Prohibited":
        return GpuUse(0, "its compute mode is Prohibited; see nvidia-smi -c")
    if mig == "Enabled" or not free.isdigit():
        return _asked(number, _MIG_NOTE if mig == "Enabled" else "")
    if mode == "Exclusive_Process":
        # Its memory may be free, and yet it refuses a second process.
        use = _asked(number, "in exclusive mode: for one process at a time")
        return use if use.free == 0 else GpuUse(int(free) * _MIB, use.note)
    return GpuUse(int(free) * _MIB)


def _asked(number: int, note: str) -> GpuUse:
    """Return what CUDA says about a GPU; one that refuses this process has no free memory."""
    import torch

    try:
        free, _ = torch.cuda.mem_get_info(number)
    except RuntimeError as error:  # torch.AcceleratorError is one
        reason = " ".join(str(error).splitlines()[0].split())
        return GpuUse(0, f"{note}; {reason}" if note else reason)
    return GpuUse(free, note)


def _listed() -> dict[str, list[str]]:
    """Return the fields of each GPU that ``nvidia-smi`` lists, by its identity."""
    command = [_SMI, f"--query-gpu={','.join(_FIELDS)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(  # noqa: S603  # a fixed command
            command, capture_output=True, text=True, check=True, timeout=_SECONDS
        )
    except (OSError, subprocess.SubprocessError):  # no such tool here, as in some containers
        return {}
    rows = [[field.strip() for field in line.split(",")] for line in done.stdout.splitlines()]
    return {
        f"gpu-{row[0].removeprefix('GPU-')}": row[1:] for row in rows if len(row) == len(_FIELDS)
    }


def exact_products() -> None:
    """Let products of matrices on GPUs add up in float32, and round only their result.

    By default torch may add up parts of a product in bfloat16 or float16, as the shape of the
    matrices has it. TF32, which rounds float32 to 10 bits, is off by default; it stays off.
    """
    import torch

    products = torch.backends.cuda.matmul
    products.allow_bf16_reduced_precision_reduction = False
    products.allow_fp16_reduced_precision_reduction = False
    products.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


PRODUCT_SETTINGS = ("cuda", "driver", "reduced_bfloat16_sums", "reduced_float16_sums", "tf32")
"""The names of what :func:`product_settings` returns."""


def product_settings() -> dict[str, object]:
    """Return what decides the rounding of products on GPUs, except the libraries' versions."""
    import torch

    products = torch.backends.cuda.matmul
    return {
        "cuda": torch.version.cuda,
        "driver": _driver(),
        "reduced_bfloat16_sums": products.allow_bf16_reduced_precision_reduction,
        "reduced_float16_sums": products.allow_fp16_reduced_precision_reduction,
        "tf32": products.allow_tf32 or torch.backends.cudnn.allow_tf32,
    }


def _driver() -> str | None:
    """Return the version of the NVIDIA driver; None if the system does not say."""
    try:
        text = _MODULE.read_text(encoding="utf-8")
    except OSError:
        return None
    version = re.search(r"\b\d+\.\d+(\.\d+)?\b", text)
    return version[0] if version else None
