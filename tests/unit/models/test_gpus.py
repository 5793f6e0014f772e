"""GPUs as torch and the driver describe them, with fakes: there is none here."""

import os
import subprocess
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from benchmark.models import device_map as device_map_module
from benchmark.models import gpus as module
from benchmark.models.device_map import device_map, fewest, weight_bytes
from benchmark.models.gpus import (
    PRODUCT_SETTINGS,
    Gpu,
    GpuUse,
    exact_products,
    gpu_numbers,
    gpu_uses,
    gpus,
    has_gpu,
    missing_gpu,
    peak_gpu_memory,
    product_settings,
    reset_peak_gpu_memory,
)
from benchmark.models.hardware import describe, described_products
from benchmark.models.location import locate

GB = 10**9
MIB = 2**20
TRACK = Path(__file__).parents[3] / "fixtures" / "models" / "track"
OLD = (
    "CUDA initialization: The NVIDIA driver on your system is too old (found version 11040). "
    "Please update your GPU driver by downloading and installing a new version from the URL: "
    "http://www.nvidia.com/Download/index.aspx (Triggered internally at CUDAFunctions.cpp:119.)"
)
UNEXPECTED = (
    "CUDA initialization: Unexpected error from cudaGetDeviceCount(). Did you run some cuda "
    "functions before calling NumCudaDevices() that might have already set an error? Error 802: "
    "system not yet initialized (Triggered internally at CUDAFunctions.cpp:109.)"
)


@pytest.fixture(autouse=True)
def _forget_the_first_look() -> Iterator[None]:
    """Let torch be asked again, before and after a test."""
    module._first_warning.cache_clear()
    yield
    module._first_warning.cache_clear()


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Replace functions of ``torch.cuda``."""

    def replace(**functions: object) -> None:
        for name, function in functions.items():
            monkeypatch.setattr(torch.cuda, name, function)

    return replace


@pytest.mark.parametrize(
    ("warning", "words"),
    [
        (OLD, ["NVIDIA driver on your system is too old (found version 11040); ", "cu126"]),
        (UNEXPECTED, ["Error 802: system not yet initialized"]),
    ],
)
def test_a_warning_of_torch_is_the_reason(
    cuda: Callable[..., None], warning: str, words: list[str]
) -> None:
    """A driver that torch cannot use warns; that is no error, and its text is kept."""

    def is_available() -> bool:
        warnings.warn(warning, stacklevel=1)  # an error in this suite
        return False

    cuda(is_available=is_available)
    assert not has_gpu()
    assert gpus() == ()
    reason = missing_gpu()
    assert all(part in reason for part in words)
    assert "Triggered" not in reason


@pytest.mark.parametrize(
    ("visible", "version", "words"),
    [
        (None, None, "is a build for CPUs"),
        ("", "12.6", "CUDA_VISIBLE_DEVICES is ''"),
        (None, "12.6", "there is no GPU, or no driver for it"),
    ],
)
def test_other_reasons(
    monkeypatch: pytest.MonkeyPatch,
    cuda: Callable[..., None],
    visible: str | None,
    version: str | None,
    words: str,
) -> None:
    """A build for CPUs, hidden GPUs, or none."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(torch.version, "cuda", version)
    monkeypatch.setattr(torch.version, "hip", None)
    cuda(is_available=lambda: False)
    assert words in missing_gpu()


def test_devices(cuda: Callable[..., None]) -> None:
    """The numbers in the name of a device; ``cuda`` is all of them."""
    cuda(device_count=lambda: 3)
    names = ("cpu", "cuda", "cuda:1", "cuda:0,2")
    assert [gpu_numbers(name) for name in names] == [(), (0, 1, 2), (1,), (0, 2)]


def test_peak_of_several_gpus(cuda: Callable[..., None]) -> None:
    """Torch takes one GPU at a time; the sum is that of all layers, and begins with each model."""
    peaks = {0: 5, 1: 7, 2: 100}

    def of(device: object) -> int:
        assert isinstance(device, int), "torch refuses names such as cuda:0,1"
        return peaks[device]

    cuda(
        max_memory_allocated=of,
        reset_peak_memory_stats=lambda n: peaks.update({n: 0}),
        device_count=lambda: 3,
        get_device_name=lambda device: f"GPU {torch.device('cuda', device).index}",
    )
    assert peak_gpu_memory("cpu") is None
    assert peak_gpu_memory("cuda:0,1") == 12
    assert peak_gpu_memory("cuda") == 112
    reset_peak_gpu_memory("cuda:1,2")
    reset_peak_gpu_memory("cpu")
    assert peaks == {0: 5, 1: 0, 2: 0}
    assert describe("cuda:1,2")["name"] == "GPU 1"


SMI = """GPU-a, 70000, Default, Disabled
GPU-b, 81000, Prohibited, Disabled
GPU-c, 60000, Exclusive_Process, Disabled
GPU-d, 60000, Exclusive_Process, Disabled
GPU-e, [N/A], Default, Enabled
GPU-f, 9000, Default, [N/A]
"""


def test_what_limits_a_gpu_is_said(
    monkeypatch: pytest.MonkeyPatch, cuda: Callable[..., None]
) -> None:
    """Free memory by the driver's tool; of exclusive GPUs and of parts of one CUDA is asked."""
    asked: list[int] = []

    def mem_get_info(number: int) -> tuple[int, int]:
        asked.append(number)
        if number == 3:
            raise RuntimeError("CUDA error: CUDA-capable device(s) is/are busy or unavailable\n..")
        return 20 * GB, 40 * GB

    cuda(mem_get_info=mem_get_info)
    done = SimpleNamespace(stdout=SMI)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    visible = [Gpu(f"gpu-{name}", 80 * GB) for name in "abcdefg"]
    uses = gpu_uses(visible, range(7))
    assert asked == [2, 3, 4, 6]
    assert [use.free for use in uses.values()] == [
        *(70_000 * MIB, 0, 60_000 * MIB, 0),
        *(20 * GB, 9000 * MIB, 20 * GB),
    ]
    notes = [use.note for use in uses.values()]
    assert "Prohibited" in notes[1]
    assert "exclusive mode" in notes[2]
    assert "busy or unavailable" in notes[3]
    assert notes[4] == "a MIG instance"
    assert [notes[n] for n in (0, 5, 6)] == ["", "", ""]
    assert not any("\n" in note for note in notes)


def test_a_mig_instance_is_not_its_gpu(
    monkeypatch: pytest.MonkeyPatch, cuda: Callable[..., None], tmp_path: Path
) -> None:
    """Two instances of one GPU have two identities; the driver's tool lists only the GPU."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho GPU-a, [N/A], Default, Enabled\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    gpu = SimpleNamespace(uuid="a", total_memory=20 * GB, name="H100 MIG 2g.20gb")
    cuda(
        is_available=lambda: True,
        device_count=lambda: 1,
        get_device_properties=lambda _: gpu,
        mem_get_info=lambda _: (19 * GB, 20 * GB),
    )
    seen = set()
    for name in ("MIG-0f1e", "MIG-GPU-a/7/0"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", name)
        (visible,) = gpus()
        assert gpu_uses([visible], [0]) == {0: GpuUse(19 * GB, "a MIG instance")}
        seen.add(visible.identity)
    assert seen == {"mig-0f1e", "mig-GPU-a_7_0"}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert gpus()[0].identity == "gpu-a"


def test_without_the_drivers_tool(
    monkeypatch: pytest.MonkeyPatch, cuda: Callable[..., None]
) -> None:
    """Where the tool is missing, as in some containers, CUDA is asked."""
    monkeypatch.setenv("PATH", "")
    cuda(mem_get_info=lambda number: (number, 9))
    assert gpu_uses([Gpu("gpu-a", 9)], [0]) == {0: GpuUse(0)}


@pytest.fixture
def reduced_sums() -> Iterator[None]:
    """Set the real switches of torch, which a CPU has too, to what they are by default."""
    products = torch.backends.cuda.matmul
    before = (
        products.allow_bf16_reduced_precision_reduction,
        products.allow_fp16_reduced_precision_reduction,
    )
    products.allow_bf16_reduced_precision_reduction = True
    products.allow_fp16_reduced_precision_reduction = True
    yield
    products.allow_bf16_reduced_precision_reduction = before[0]
    products.allow_fp16_reduced_precision_reduction = before[1]


@pytest.mark.usefixtures("reduced_sums")
def test_products_add_up_in_float32() -> None:
    """No part of a sum is rounded to 16 bit."""
    names = ("reduced_bfloat16_sums", "reduced_float16_sums", "tf32")
    assert [product_settings()[name] for name in names[:2]] == [True, True]
    exact_products()
    assert [product_settings()[name] for name in names] == [False] * 3


@pytest.mark.usefixtures("reduced_sums")
def test_hardware_of_a_run_has_its_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU they are those of runs, also before a model is loaded; a CPU has none."""
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "H200")
    described = described_products("cuda:0")
    assert (described["hardware_class"], described["reduced_bfloat16_sums"]) == ("H200", False)
    assert set(PRODUCT_SETTINGS) < described.keys()
    assert described_products("cpu") == describe("cpu")


def test_version_of_the_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the kernel module says it; None without one."""
    file = tmp_path / "version"
    monkeypatch.setattr(module, "_MODULE", file)
    assert product_settings()["driver"] is None
    file.write_text(
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.15  Release Build\n"
        "GCC version:  gcc version 12.3.0\n"
    )
    assert product_settings()["driver"] == "550.54.15"


# Where the layers of a model go


def test_the_fewest_gpus() -> None:
    """Those with most room first; all of them if they do not hold the weights together."""
    uses = {n: GpuUse(free * 10) for n, free in enumerate((5, 8, 2, 8))}  # room: 45, 72, 18, 72
    assert [fewest(uses, size) for size in (0, 72, 73, 145, 190, 10_000)] == [
        *((1,), (1,), (1, 3), (0, 1, 3)),
        *((0, 1, 2, 3), (0, 1, 2, 3)),
    ]


@pytest.mark.parametrize(
    ("device", "free", "expected"),
    [
        ("cuda:1", (80, 80, 80), {"": "cuda:1"}),
        ("cuda", (80, 80, 80), {"": "cuda:0"}),
        ("cuda", (1, 80, 80), {"": "cuda:1"}),  # another process uses the first
        ("cuda", (1, 1, 80), {"": "cuda:0"}),  # the last is of another kind
        ("cuda:0,1", (80, 70, 80), "auto"),
    ],
)
def test_a_small_model_is_on_one_gpu(
    monkeypatch: pytest.MonkeyPatch,
    cuda: Callable[..., None],
    device: str,
    free: tuple[int, ...],
    expected: object,
) -> None:
    """``cuda`` does not spread a small model over all GPUs; those that are named are used."""
    names = ("H100", "H100", "T4")
    visible = [Gpu(f"gpu-{n}", 80 * GB, name) for n, name in enumerate(names)]
    cuda(device_count=lambda: 3)
    monkeypatch.setattr(device_map_module, "gpus", lambda: visible)
    uses = {n: GpuUse(size * GB) for n, size in enumerate(free)}
    monkeypatch.setattr(
        device_map_module, "gpu_uses", lambda _, numbers: {n: uses[n] for n in numbers}
    )
    arguments = device_map(locate(str(TRACK)), device, "bfloat16")
    assert arguments["device_map"] == expected
    if expected == "auto":
        assert arguments["max_memory"] == {0: 72 * GB, 1: 63 * GB}


def test_weights_by_their_files() -> None:
    """The bytes of safetensors in a dtype are exact."""
    location = locate(str(TRACK))
    stored = sum(path.stat().st_size for path in location.weights)
    in_float32 = weight_bytes(location, "float32")
    assert in_float32 == 2 * weight_bytes(location, "bfloat16")
    assert stored in (pytest.approx(in_float32, rel=0.05), pytest.approx(in_float32 / 2, rel=0.05))
