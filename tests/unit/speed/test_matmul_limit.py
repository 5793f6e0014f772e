"""The arithmetic limit: the products timed, and the number of choices in an answer."""

import re
from collections.abc import Callable

import pytest
import torch

from benchmark.decoding.constraint import Constraint
from benchmark.speed import matmul_limit
from benchmark.speed.matmul_limit import MatmulTimer, choice_counter
from fakes.tiny_models import tiny_model
from fakes.tiny_tokenizer import tiny_tokenizer

PATTERN = "(ab|ac)d*"


def test_layers_and_head_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer has four products of attention and three of the MLP; the head has one."""
    model = tiny_model("llama", 50, 0)
    config = model.config
    work: list[int] = []
    clock: list[int] = []

    def count(_: object, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        work.append(inputs[0].numel() * output.shape[-1])

    for layer in model.modules():
        if isinstance(layer, torch.nn.Linear):
            layer.register_forward_hook(count)

    def timed(self: MatmulTimer, act: Callable[[], object]) -> float:
        work.clear()
        act()
        clock.append(sum(work))
        return float(sum(work))

    monkeypatch.setattr(MatmulTimer, "_clock", timed)
    # Packed layers are other modules, without the hook; here the plain ones are counted twice.
    monkeypatch.setattr(
        matmul_limit, "packed_linears", lambda model, product: torch.inference_mode()
    )
    layers, head, reading = MatmulTimer(model).seconds()
    hidden, inner = config.hidden_size, config.intermediate_size
    shared = hidden * config.num_key_value_heads // config.num_attention_heads
    per_layer = 2 * hidden * hidden + 2 * hidden * shared + 3 * hidden * inner
    assert layers == config.num_hidden_layers * per_layer
    assert head == hidden * 50
    assert reading == layers  # per token of many, and for one token
    assert len(clock) == 12  # three sizes, packed and not, layers and head


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
