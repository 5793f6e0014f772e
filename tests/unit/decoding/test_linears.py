"""Packed linear layers: the same results, and the weights given back bit for bit."""

import ctypes
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from benchmark.decoding.linears import PackedLinear, packed

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(3,), (1, 5), (2, 7)])
def test_packed_layer_gives_what_the_layer_gives(shape: tuple[int, ...], bias: bool) -> None:  # noqa: FBT001  # a case
    """Up to rounding, with and without bias, for any number of leading dimensions."""
    layer = torch.nn.Linear(16, 24, bias=bias)
    states = torch.randn(*shape, 16)
    with torch.inference_mode():
        torch.testing.assert_close(PackedLinear(layer)(states), layer(states))


def test_model_is_packed_and_given_back(tiny_model: Callable[..., PreTrainedModel]) -> None:
    """Inside every linear layer is packed; afterwards module and bits are those of before."""
    model = tiny_model("qwen2", 352, 1)
    layers = {n: m for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)}
    bits = {name: layer.weight.detach().clone() for name, layer in layers.items()}
    ids = torch.arange(9)[None]
    with torch.inference_mode():
        before = model(ids).logits
        with suppress(KeyError), packed(model):
            inside = dict(model.named_modules())
            assert all(isinstance(inside[name], PackedLinear) for name in layers)
            torch.testing.assert_close(model(ids).logits, before, atol=1e-4, rtol=1e-4)
            raise KeyError  # as when memory runs out inside
    after = dict(model.named_modules())
    assert all(after[name] is layer for name, layer in layers.items())
    assert all(torch.equal(layer.weight, bits[name]) for name, layer in layers.items())


def test_half_precision_is_left_alone(tiny_model: Callable[..., PreTrainedModel]) -> None:
    """float16, which few processors multiply, is run as it is."""
    model = tiny_model("llama", 352, 1).half()
    with packed(model):
        assert not any(isinstance(module, PackedLinear) for module in model.modules())


PASSES = """
import ctypes, torch
from benchmark.decoding.linears import packed

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
with torch.inference_mode(), packed(model):
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
