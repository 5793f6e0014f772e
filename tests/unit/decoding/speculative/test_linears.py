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

from benchmark.decoding.speculative import matmul_backends
from benchmark.decoding.speculative.linears import PackedLinear, packed_linears
from benchmark.decoding.speculative.matmul_backends import (
    MatmulBackend,
    MklBackend,
    OneDnnBackend,
    WidenedBackend,
    matmul_backend_for,
)
from fakes.tiny_models import tiny_model

ROOT = Path(__file__).parents[4]

BACKENDS: dict[str, tuple[MatmulBackend, torch.dtype]] = {
    "oneDNN": (OneDnnBackend(), torch.float32),
    "oneDNN, bfloat16": (OneDnnBackend(), torch.bfloat16),
    "MKL": (MklBackend(), torch.float32),
    "widened": (WidenedBackend(MklBackend()), torch.bfloat16),
}

each_backend = pytest.mark.parametrize("name", BACKENDS)


def _available(name: str) -> tuple[MatmulBackend, torch.dtype]:
    """Return the backend with that name; skip if this processor or torch does not support it."""
    product, dtype = BACKENDS[name]
    if "oneDNN" in name and matmul_backends._one_dnn_backend(dtype) is None:
        pytest.skip(f"no oneDNN for {dtype} here")
    if "oneDNN" not in name and not matmul_backends._works_for_any_rows(24, 16):
        pytest.skip("no MKL here")
    return product, dtype


@each_backend
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(3,), (1, 5), (2, 7), (1, 300)])
def test_packed_layer_equals_the_layer(
    name: str,
    shape: tuple[int, ...],
    bias: bool,  # noqa: FBT001  # a case
) -> None:
    """Up to rounding, with and without bias, for any number of leading dimensions and rows."""
    product, dtype = _available(name)
    layer = torch.nn.Linear(16, 24, bias=bias, dtype=dtype)
    states = torch.randn(*shape, 16).to(dtype)
    with torch.inference_mode():
        actual, expected = PackedLinear(layer, product)(states), layer(states)
    assert actual.dtype == dtype
    torch.testing.assert_close(actual, expected)


@each_backend
def test_weights_are_unpacked_bit_for_bit(name: str) -> None:
    """Unpacked weights are equal bit for bit, including the sign of zero, or not available."""
    product, dtype = _available(name)
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
    monkeypatch.setattr(matmul_backends, "free_memory", lambda: 10**9 if room else 0)
    model = tiny_model("qwen2", 352, 1).to(dtype)
    layers = {n: m for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)}
    bits = {name: layer.weight.detach().clone() for name, layer in layers.items()}
    ids = torch.arange(9)[None]
    product = matmul_backend_for(model)
    if product is None:
        pytest.skip("nothing to pack for here")
    assert room or product.unpacks
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
    assert matmul_backend_for(model) is None
    with packed_linears(model, None):
        assert not any(isinstance(module, PackedLinear) for module in model.modules())


@pytest.fixture
def cleared_caches() -> Iterator[None]:
    """Clear what is cached about this processor, before and after."""
    caches = (matmul_backends._bfloat16_backend, matmul_backends._works_for_any_rows)
    for function in caches:
        function.cache_clear()
    yield
    for function in caches:
        function.cache_clear()


@pytest.mark.usefixtures("cleared_caches")
@pytest.mark.parametrize(
    ("own", "wide", "mkl", "widened"),
    [(3.0, 1.0, True, True), (1.1, 1.0, True, False), (3.0, 1.0, False, False)],
    ids=["slow", "about as quick", "no MKL"],
)
def test_bfloat16_is_widened_if_clearly_faster(
    own: float,
    wide: float,
    mkl: bool,  # noqa: FBT001  # a case
    widened: bool,  # noqa: FBT001  # a case
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The choice depends on the seconds of both, and needs MKL."""
    narrow = OneDnnBackend()
    monkeypatch.setattr(matmul_backends, "_one_dnn_backend", lambda dtype: narrow)
    monkeypatch.setattr(matmul_backends, "_time_backend", lambda it: own if it is narrow else wide)
    chosen = matmul_backends._bfloat16_backend(has_mkl=mkl)
    assert isinstance(chosen, WidenedBackend) is widened
    assert widened or chosen is narrow


@pytest.mark.usefixtures("cleared_caches")
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

    for broken in (Fixed, Missing):
        matmul_backends._works_for_any_rows.cache_clear()
        monkeypatch.setattr(matmul_backends, "MklBackend", broken)
        assert not isinstance(matmul_backend_for(tiny_model("llama", 352, 1)), MklBackend)


PASSES = """
import ctypes, torch
from benchmark.decoding.speculative.linears import packed_linears
from benchmark.decoding.speculative.matmul_backends import _one_dnn_backend
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
with torch.inference_mode(), packed_linears(model, _one_dnn_backend(torch.float32)):
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
