"""The engines by name."""

from collections.abc import Callable

import pytest

from benchmark.decoding.engine import Limits
from benchmark.decoding.engines import ENGINES, check_engine, create_engine
from benchmark.errors import ModelError, SettingError
from benchmark.models.tokenizer import TransformersTokenizer

LIMITS = Limits(batch_size=1, max_new_tokens=1)


@pytest.mark.parametrize("name", ["outlines", "unconstrained"])
def test_known_engine(name: str) -> None:
    """The paper's engine and its ablation are there, each with a word about it."""
    assert check_engine(name) == name
    assert ENGINES[name]


def test_unknown_engine(
    tiny_model: Callable[..., object], tiny_tokenizer: Callable[..., TransformersTokenizer]
) -> None:
    """An engine that does not exist is refused with those that do, checked or created."""
    with pytest.raises(SettingError, match="no engine 'magic'; choose one of outlines, "):
        check_engine("magic")
    with pytest.raises(SettingError, match="no engine 'magic'"):
        create_engine("magic", tiny_model("llama", 348, 1), tiny_tokenizer(), LIMITS, "a")


def test_only_the_constrained_engine_compiles_the_expression(
    tiny_model: Callable[..., object], tiny_tokenizer: Callable[..., TransformersTokenizer]
) -> None:
    """An expression that cannot be compiled stops the paper's engine and not the ablation."""
    model, tokenizer = tiny_model("llama", 348, 1), tiny_tokenizer()
    with pytest.raises(ModelError):
        create_engine("outlines", model, tokenizer, LIMITS, "[")
    create_engine("unconstrained", model, tokenizer, LIMITS, "[")
