"""Packed linear layers: the same results, and the weights given back bit for bit."""

from collections.abc import Callable
from contextlib import suppress

import pytest
import torch
from transformers import PreTrainedModel

from benchmark.decoding.linears import PackedLinear, packed


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
