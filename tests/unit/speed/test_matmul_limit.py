"""The arithmetic limit: which products are timed, and how many choices an answer has."""

import re
from collections.abc import Callable

import pytest
import torch
from transformers import PreTrainedModel

from benchmark.decoding.constraint import Constraint
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.speed import matmul_limit as arithmetic
from benchmark.speed.matmul_limit import Products, open_choices

PATTERN = "(ab|ac)d*"


def test_every_product_is_timed_and_the_head_apart(
    tiny_model: Callable[..., PreTrainedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the model's sizes: attention's four and the MLP's three a layer, and the head."""
    model = tiny_model("llama", 50, 0)
    config = model.config
    work: list[int] = []
    clock: list[int] = []

    def counted(_: object, given: tuple[torch.Tensor], made: torch.Tensor) -> None:
        work.append(given[0].numel() * made.shape[-1])

    for layer in model.modules():
        if isinstance(layer, torch.nn.Linear):
            layer.register_forward_hook(counted)

    def timed(self: Products, act: Callable[[], object]) -> float:
        work.clear()
        act()
        clock.append(sum(work))
        return float(sum(work))

    monkeypatch.setattr(Products, "_clock", timed)
    # Packed layers are other modules, without the hook; here both are counted as they stand.
    monkeypatch.setattr(arithmetic, "packed", lambda model, product: torch.inference_mode())
    layers, head, reading = Products(model).seconds()
    hidden, inner = config.hidden_size, config.intermediate_size
    shared = hidden * config.num_key_value_heads // config.num_attention_heads
    a_layer = 2 * hidden * hidden + 2 * hidden * shared + 3 * hidden * inner
    assert layers == config.num_hidden_layers * a_layer
    assert head == hidden * 50
    assert reading == layers  # by the token, and of one token
    assert len(clock) == 12  # three sizes, both ways, layers and head


def test_open_choices_are_those_with_several_continuations(
    tiny_tokenizer: Callable[..., TransformersTokenizer],
) -> None:
    """Against the expression itself: a place is open where several tokens lead on to a match."""
    tokenizer = tiny_tokenizer()
    constraint = Constraint(PATTERN, tokenizer.token_bytes, tokenizer.eos_id)
    count = open_choices(constraint, tokenizer.token_bytes)
    matches = {text + "d" * n for text in ("ab", "ac") for n in range(12)}

    def leads_on(text: str) -> bool:
        return any(match.startswith(text) for match in matches)

    def naive(answer: tuple[int, ...]) -> int:
        found = 0
        for place in range(len(answer) + 1):
            before = b"".join(tokenizer.token_bytes[i] for i in answer[:place]).decode()
            going = sum(
                leads_on(before + spelling.decode("utf-8", "replace"))
                for spelling in tokenizer.token_bytes.values()
            )
            found += going + bool(re.fullmatch(PATTERN, before)) > 1
        return found

    for text in ("ab", "acd", "abddd"):
        answer = tokenizer.encode(text)
        assert count(answer) == naive(answer) > 0
