"""Packed linear layers: the same results, and the weights as they were afterwards."""

import ctypes
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from benchmark.decoding.speculative import matmul_backends as products
from benchmark.decoding.speculative.linears import PackedLinear, packed
from benchmark.decoding.speculative.matmul_backends import (
    MatmulBackend,
    Mkl,
    OneDnn,
    Widened,
    matmul_backend_for,
)

ROOT = Path(__file__).parents[4]

PRODUCTS: dict[str, tuple[MatmulBackend, torch.dtype]] = {
    "oneDNN": (OneDnn(), torch.float32),
    "oneDNN, bfloat16": (OneDnn(), torch.bfloat16),
    "MKL": (Mkl(), torch.float32),
    "widened": (Widened(Mkl()), torch.bfloat16),
}

each_product = pytest.mark.parametrize("name", PRODUCTS)


def _here(name: str) -> tuple[MatmulBackend, torch.dtype]:
    """The product of that name; skips where this processor or torch has not what it needs."""
    product, dtype = PRODUCTS[name]
    if "oneDNN" in name and products._one_dnn(dtype) is None:
        pytest.skip(f"no oneDNN for {dtype} here")
    if "oneDNN" not in name and not products._takes_any_rows(24, 16):
        pytest.skip("no MKL here")
    return product, dtype


@each_product
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(3,), (1, 5), (2, 7), (1, 300)])
def test_packed_layer_gives_what_the_layer_gives(
    name: str,
    shape: tuple[int, ...],
    bias: bool,  # noqa: FBT001  # a case
) -> None:
    """Up to rounding, with and without bias, for any number of leading dimensions and rows."""
    product, dtype = _here(name)
    layer = torch.nn.Linear(16, 24, bias=bias, dtype=dtype)
    states = torch.randn(*shape, 16).to(dtype)
    with torch.inference_mode():
        found, expected = PackedLinear(layer, product)(states), layer(states)
    assert found.dtype == dtype
    torch.testing.assert_close(found, expected)


@each_product
def test_weights_come_back(name: str) -> None:
    """Bit for bit, the sign of zero too, or not at all: then they are kept."""
    product, dtype = _here(name)
    numbers = torch.finfo(dtype)
    weight = torch.randn(17, 33).to(dtype)
    weight[0, :5] = torch.tensor([numbers.max, numbers.min, numbers.smallest_normal, 1e-40, -0.0])
    found = product.pack(weight).unpacked()
    assert (found is not None) is product.unpacks
    if found is not None:
        bits = torch.int32 if dtype == torch.float32 else torch.int16
        assert torch.equal(found.contiguous().view(bits), weight.view(bits))


@pytest.mark.parametrize("room", [True, False], ids=["room", "no room"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_model_is_packed_and_given_back(
    tiny_model: Callable[..., PreTrainedModel],
    monkeypatch: pytest.MonkeyPatch,
    dtype: torch.dtype,
    room: bool,  # noqa: FBT001  # a case
) -> None:
    """Inside every linear layer is packed; afterwards module and bits are those of before."""
    monkeypatch.setattr(products, "free_memory", lambda: 10**9 if room else 0)
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
        with suppress(KeyError), packed(model, product):
            inside = dict(model.named_modules())
            assert all(isinstance(inside[name], PackedLinear) for name in layers)
            torch.testing.assert_close(model(ids).logits, before, atol=close, rtol=close)
            raise KeyError  # as when memory runs out inside
    after = dict(model.named_modules())
    assert all(after[name] is layer for name, layer in layers.items())
    assert all(torch.equal(layer.weight, bits[name]) for name, layer in layers.items())


def test_half_precision_is_left_alone(tiny_model: Callable[..., PreTrainedModel]) -> None:
    """float16, which few processors multiply, is run as it is."""
    model = tiny_model("llama", 352, 1).half()
    assert matmul_backend_for(model) is None
    with packed(model, None):
        assert not any(isinstance(module, PackedLinear) for module in model.modules())


@pytest.fixture
def fresh() -> Iterator[None]:
    """What was found out about this processor is forgotten, before and after."""
    caches = (products._half, products._takes_any_rows)
    for each in caches:
        each.cache_clear()
    yield
    for each in caches:
        each.cache_clear()


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize(
    ("own", "wide", "mkl", "widened"),
    [(3.0, 1.0, True, True), (1.1, 1.0, True, False), (3.0, 1.0, False, False)],
    ids=["slow", "about as quick", "no MKL"],
)
def test_sixteen_bit_is_widened_where_that_is_clearly_quicker(
    own: float,
    wide: float,
    mkl: bool,  # noqa: FBT001  # a case
    widened: bool,  # noqa: FBT001  # a case
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the seconds of both, and only where MKL can be had."""
    narrow = OneDnn()
    monkeypatch.setattr(products, "_one_dnn", lambda dtype: narrow)
    monkeypatch.setattr(products, "_seconds", lambda it: own if it is narrow else wide)
    chosen = products._half(widened=mkl)
    assert isinstance(chosen, Widened) is widened
    assert widened or chosen is narrow


@pytest.mark.usefixtures("fresh")
def test_a_layout_for_one_number_of_rows_is_found_out(
    tiny_model: Callable[..., PreTrainedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    """MKL's is taken only where it gives the right products for any number of rows."""

    class Fixed(Mkl):
        def pack(self, weight: torch.Tensor) -> Any:  # noqa: ANN401  # a fake
            packed = super().pack(weight)

            def multiply(states: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
                right = packed.multiply(states, bias)
                return right if len(states) < 128 else right.roll(1, 0)

            return SimpleNamespace(multiply=multiply)

    class Missing(Mkl):
        def pack(self, weight: torch.Tensor) -> Any:  # noqa: ANN401  # a fake
            raise AttributeError("no such function")

    for broken in (Fixed, Missing):
        products._takes_any_rows.cache_clear()
        monkeypatch.setattr(products, "Mkl", broken)
        assert not isinstance(matmul_backend_for(tiny_model("llama", 352, 1)), Mkl)


PASSES = """
import ctypes, torch
from benchmark.decoding.speculative.linears import packed
from benchmark.decoding.speculative.matmul_backends import _one_dnn
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
with torch.inference_mode(), packed(model, _one_dnn(torch.float32)):
    for rows in range(100, 200):
        for layer in model.layers:
            layer(torch.zeros(rows, 512))
        if rows == 140:
            before = libc.mallinfo2().h
print((libc.mallinfo2().h - before) / 1e6)
"""
"""Prints by how many megabytes the heap grows with 59 more numbers of rows."""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="needs glibc 2.33")
@pytest.mark.parametrize(("kept", "least", "most"), [(None, -5, 5), ("1024", 10, 1000)])
def test_kernels_do_not_pile_up(
    kept: str | None, least: float, most: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Passes of ever new sizes take no more memory, unless the user has more kernels kept."""
    for name in ("LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY"):
        monkeypatch.delenv(name, raising=False)
        if kept:
            monkeypatch.setenv(name, kept)
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", PASSES], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert least <= float(done.stdout) < most
