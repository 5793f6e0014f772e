"""The arithmetic limit: the products timed, and the number of choices in an answer."""

import re
from collections import Counter

import numpy as np
import pytest
import torch

from benchmark.decoding.constraint import Constraint
from benchmark.decoding.speculative.matmul_trial import Product, ProductTimes
from benchmark.errors import ModelError
from benchmark.planning.shape import ModelShape
from benchmark.speed import matmul_limit
from benchmark.speed.matmul_limit import MatmulTimer, choice_counter
from fakes.tiny_models import tiny_model
from fakes.tiny_tokenizer import tiny_tokenizer

PATTERN = "(ab|ac)d*"


@pytest.mark.parametrize("clear", [True, False])
def test_the_fastest_of_all_backends_counts(
    monkeypatch: pytest.MonkeyPatch,
    clear: bool,  # noqa: FBT001  # a case
) -> None:
    """Per shape, over all backends and numbers of rows; compared with a sum over all layers."""
    model = tiny_model("llama", 50, 0)
    drawn = np.random.default_rng(0)
    seconds: dict[Product, float] = {}

    def time_products(
        backends: dict[str, object],
        sizes: list[tuple[tuple[int, int], tuple[int, ...]]],
        *_: object,
    ) -> ProductTimes:
        for name in backends:
            for shape, rows in sizes:
                seconds.update({Product(name, shape, n): n * drawn.random() for n in rows})
        return ProductTimes(seconds, clear)

    monkeypatch.setattr(matmul_limit, "time_products", time_products)
    layers, attention, head, reading, products, disturbed = MatmulTimer(model).seconds()

    def best(layer: torch.nn.Linear) -> float:
        shape = (layer.out_features, layer.in_features)
        return min(s / p.rows for p, s in seconds.items() if p.shape == shape)

    linears = [layer for layer in model.modules() if isinstance(layer, torch.nn.Linear)]
    own = model.get_output_embeddings()
    assert layers == pytest.approx(sum(best(layer) for layer in linears if layer is not own))
    assert head == best(own)
    config = model.config
    fastest = min(best(layer) / layer.weight.numel() for layer in linears)
    multiplications = 2 * config.num_attention_heads * config.head_dim * config.num_hidden_layers
    assert attention == {None: pytest.approx(multiplications * fastest)}
    assert reading > 0
    assert disturbed is not clear
    assert set(products) == {product.backend for product in seconds}
    assert "torch" in products
    assert len({product.rows for product in seconds}) >= 3


def test_attention_by_window() -> None:
    """Layers with the same window count together."""
    model = tiny_model("gemma3", 50, 0)
    windows = MatmulTimer(model).seconds().attention
    kinds = Counter(model.config.layer_types)
    assert len(kinds) == len(windows) == 2
    full, sliding = windows[None], windows[model.config.sliding_window]
    share = kinds["full_attention"] / kinds["sliding_attention"]
    assert full / sliding == pytest.approx(share)


def test_heads_that_cannot_be_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a limit without attention, which is lower."""

    def refuse(_: object) -> ModelShape:
        raise ModelError("no heads")

    monkeypatch.setattr(matmul_limit, "shape_of", refuse)
    times = MatmulTimer(tiny_model("llama", 50, 0)).seconds()
    assert times.attention == {}
    assert times.layers > 0


def test_reading_is_one_token_through_all_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every layer but the head is called with one row, as it is and packed; the best counts."""
    model = tiny_model("llama", 50, 0)
    own = model.get_output_embeddings()
    layers = [m for m in model.modules() if isinstance(m, torch.nn.Linear) and m is not own]
    calls: list[tuple[int, ...]] = []

    def count(_: object, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        calls.append((*inputs[0].shape, output.shape[-1]))

    for layer in layers:
        layer.register_forward_hook(count)
    monkeypatch.setattr(
        matmul_limit, "packed_linears", lambda model, product: torch.inference_mode()
    )
    MatmulTimer(model)._reading()
    expected = [(1, layer.in_features, layer.out_features) for layer in layers]
    assert sorted(calls) == sorted(6 * expected)  # three times, packed and not


def test_choices_are_positions_with_several_continuations() -> None:
    """Compared with the expression: a position has a choice if several tokens lead to a match."""
    tokenizer = tiny_tokenizer()
    constraint = Constraint(PATTERN, tokenizer.token_bytes, tokenizer.eos_id)
    count = choice_counter(constraint, tokenizer.token_bytes)
    matches = {text + "d" * n for text in ("ab", "ac") for n in range(12)}

    def is_prefix(text: str) -> bool:
        return any(match.startswith(text) for match in matches)

    def naive(answer: tuple[int, ...]) -> int:
        choices = 0
        for position in range(len(answer) + 1):
            before = b"".join(tokenizer.token_bytes[i] for i in answer[:position]).decode()
            continuations = sum(
                is_prefix(before + spelling.decode("utf-8", "replace"))
                for spelling in tokenizer.token_bytes.values()
            )
            choices += continuations + bool(re.fullmatch(PATTERN, before)) > 1
        return choices

    for text in ("ab", "acd", "abddd"):
        answer = tokenizer.encode(text)
        assert count(answer) == naive(answer) > 0
