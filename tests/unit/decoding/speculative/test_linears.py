"""Packed linear layers: the same results, and unchanged weights afterwards."""

import ctypes
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchmark.decoding.speculative import matmul_backends, matmul_choice
from benchmark.decoding.speculative.linear_shapes import LinearShapes
from benchmark.decoding.speculative.linears import PackedLinear, packed_linears
from benchmark.decoding.speculative.matmul_backends import (
    MatmulBackend,
    MklBackend,
    available,
    candidates,
)
from benchmark.decoding.speculative.matmul_choice import matmul_backend_for
from fakes.tiny_models import tiny_model

ROOT = Path(__file__).parents[4]

DTYPES = (torch.float32, torch.bfloat16)
NAMES = [(name, dtype) for dtype in DTYPES for name in candidates(dtype)]

each_backend = pytest.mark.parametrize(
    ("name", "dtype"), NAMES, ids=[f"{name} {dtype}" for name, dtype in NAMES]
)


def _available(name: str, dtype: torch.dtype) -> MatmulBackend:
    """Return the backend with that name; skip if this processor or torch does not support it."""
    usable = available(candidates(dtype), LinearShapes({(24, 16): 1}, None, dtype))
    if name not in usable:
        pytest.skip(f"no {name} for {dtype} here")
    return usable[name]


@each_backend
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(3,), (1, 5), (2, 7), (1, 300)])
def test_packed_layer_equals_the_layer(
    name: str,
    dtype: torch.dtype,
    shape: tuple[int, ...],
    bias: bool,  # noqa: FBT001  # a case
) -> None:
    """Up to rounding, with and without bias, for any number of leading dimensions and rows."""
    product = _available(name, dtype)
    layer = torch.nn.Linear(16, 24, bias=bias, dtype=dtype)
    states = torch.randn(*shape, 16).to(dtype)
    with torch.inference_mode():
        actual, expected = PackedLinear(layer, product)(states), layer(states)
    assert actual.dtype == dtype
    torch.testing.assert_close(actual, expected)


@each_backend
def test_weights_are_unpacked_bit_for_bit(name: str, dtype: torch.dtype) -> None:
    """Unpacked weights are equal bit for bit, including the sign of zero, or not available."""
    product = _available(name, dtype)
    numbers = torch.finfo(dtype)
    weight = torch.randn(17, 33).to(dtype)
    weight[0, :5] = torch.tensor([numbers.max, numbers.min, numbers.smallest_normal, 1e-40, -0.0])
    unpacked = product.pack(weight).unpack()
    assert (unpacked is not None) is product.unpacks
    if unpacked is not None:
        bits = torch.int32 if dtype == torch.float32 else torch.int16
        assert torch.equal(unpacked.contiguous().view(bits), weight.view(bits))


@pytest.mark.parametrize("room", [True, False], ids=["room", "no room"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_model_is_packed_and_restored(
    monkeypatch: pytest.MonkeyPatch,
    dtype: torch.dtype,
    room: bool,  # noqa: FBT001  # a case
) -> None:
    """Inside, every linear layer is packed; afterwards modules and weights are as before."""
    monkeypatch.setattr(matmul_choice, "free_memory", lambda: 10**9 if room else 0)
    model = tiny_model("qwen2", 352, 1).to(dtype)
    layers = {n: m for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)}
    bits = {name: layer.weight.detach().clone() for name, layer in layers.items()}
    ids = torch.arange(9)[None]
    product = matmul_backend_for(model, 64)
    assert product is not None
    assert room or not product.extra_bytes
    close = 1e-4 if dtype == torch.float32 else 0.3
    with torch.inference_mode():
        before = model(ids).logits
        with suppress(KeyError), packed_linears(model, product):
            inside = dict(model.named_modules())
            assert all(isinstance(inside[name], PackedLinear) for name in layers)
            torch.testing.assert_close(model(ids).logits, before, atol=close, rtol=close)
            raise KeyError  # as when memory runs out inside
    after = dict(model.named_modules())
    assert all(after[name] is layer for name, layer in layers.items())
    assert all(torch.equal(layer.weight, bits[name]) for name, layer in layers.items())


def test_float16_is_not_packed() -> None:
    """float16, which few processors multiply, keeps its own layers."""
    model = tiny_model("llama", 352, 1).half()
    assert matmul_backend_for(model, 64) is None
    with packed_linears(model, None):
        assert not any(isinstance(module, PackedLinear) for module in model.modules())


@pytest.fixture
def cleared_cache() -> Iterator[None]:
    """Clear what is cached about MKL here, before and after."""
    matmul_backends._works_for_any_rows.cache_clear()
    yield
    matmul_backends._works_for_any_rows.cache_clear()


@pytest.mark.usefixtures("cleared_cache")
def test_layout_for_one_number_of_rows_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    """MKL is used only if its packed weights yield the right products for any number of rows."""

    class Fixed(MklBackend):
        def pack(self, weight: torch.Tensor) -> Any:  # noqa: ANN401  # a fake
            packed = super().pack(weight)

            def multiply(states: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
                correct = packed.multiply(states, bias)
                return correct if len(states) < 128 else correct.roll(1, 0)

            return SimpleNamespace(multiply=multiply)

    class Missing(MklBackend):
        def pack(self, weight: torch.Tensor) -> Any:  # noqa: ANN401  # a fake
            raise AttributeError("no such function")

    shapes = LinearShapes({(24, 16): 1}, None, torch.float32)
    for broken in (Fixed, Missing):
        matmul_backends._works_for_any_rows.cache_clear()
        monkeypatch.setattr(matmul_backends, "MklBackend", broken)
        assert "mkl" not in available(candidates(torch.float32), shapes)


PASSES = """
import ctypes, torch
from benchmark.decoding.speculative.linears import packed_linears
from benchmark.decoding.speculative.matmul_backends import OneDnnBackend
from benchmark.models.hardware import limit_kernel_caches

limit_kernel_caches()
class Heap(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "abcdefghij"]

class Model(torch.nn.Module):
    dtype, device = torch.float32, torch.device("cpu")
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.ModuleList(torch.nn.Linear(512, out) for out in (512, 1024))
    def get_output_embeddings(self):
        return torch.nn.Linear(1, 1)

libc, model = ctypes.CDLL(None), Model()
libc.mallinfo2.restype = Heap
with torch.inference_mode(), packed_linears(model, OneDnnBackend()):
    for rows in range(100, 200):
        for layer in model.layers:
            layer(torch.zeros(rows, 512))
        if rows == 140:
            before = libc.mallinfo2().h
print((libc.mallinfo2().h - before) / 1e6)
"""
"""Prints by how many megabytes the heap grows over 59 further numbers of rows."""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="needs glibc 2.33")
@pytest.mark.parametrize(("kept", "least", "most"), [(None, -5, 5), ("1024", 10, 1000)])
def test_kernels_do_not_accumulate(
    kept: str | None, least: float, most: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Passes of new sizes take no more memory, unless the user sets a larger kernel cache."""
    for name in ("LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY"):
        monkeypatch.delenv(name, raising=False)
        if kept:
            monkeypatch.setenv(name, kept)
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", PASSES], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert least <= float(done.stdout) < most
