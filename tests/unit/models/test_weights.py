"""The digest of weights as loaded."""

import pytest
import torch

from benchmark.models import weights
from benchmark.models.weights import weights_digest
from fakes.tiny_models import tiny_model


def test_the_same_weights_have_the_same_digest() -> None:
    """Equal weights have equal digests; those of another seed have another digest."""
    digest = weights_digest(tiny_model("llama", 60, 1))
    assert digest == weights_digest(tiny_model("llama", 60, 1))
    assert digest != weights_digest(tiny_model("llama", 60, 1, seed=1))


def test_one_value_is_noticed() -> None:
    """The smallest possible change of one value changes the digest."""
    model = tiny_model("llama", 60, 1)
    digest = weights_digest(model)
    with torch.no_grad():
        value = model.get_input_embeddings().weight[-1, -1]
        value.copy_(torch.nextafter(value, torch.tensor(9.0)))
    assert weights_digest(model) != digest


def test_dtype_is_noticed() -> None:
    """Weights rounded to another dtype have another digest."""
    model = tiny_model("llama", 60, 1)
    assert weights_digest(model) != weights_digest(model.to(torch.bfloat16))


def test_names_and_order_are_not_noticed() -> None:
    """The same tensors under other names and in another order have the same digest."""
    model = tiny_model("llama", 60, 1)
    turned = torch.nn.ParameterList(list(model.parameters())[::-1])
    assert weights_digest(turned) == weights_digest(model)


def test_blocks_do_not_change_the_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adding up in blocks gives the sum of a whole, also one that overflows 64 bits."""
    large = torch.nn.Parameter(torch.full((9,), 1.7e308, dtype=torch.float64))
    model = torch.nn.ParameterList([*tiny_model("llama", 60, 1).parameters(), large])
    digest = weights_digest(model)
    monkeypatch.setattr(weights, "_BLOCK", 3)
    assert weights_digest(model) == digest
    bits = large.detach().view(torch.int64)
    exact = sum(bits.tolist())
    assert exact != int(bits.sum()) == weights._wrapped(exact)
