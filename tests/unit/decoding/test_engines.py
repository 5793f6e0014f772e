"""Engines by name."""

import pytest

from benchmark.decoding.engine import DecodingLimits
from benchmark.decoding.engines import ENGINES, check_engine, check_prompts, create_engine
from benchmark.errors import ModelError, SettingError
from fakes.tiny_models import tiny_model
from fakes.tiny_tokenizer import tiny_tokenizer

LIMITS = DecodingLimits(batch_size=1, max_new_tokens=1)


@pytest.mark.parametrize("name", ["speculative", "outlines", "unconstrained"])
def test_known_engine(name: str) -> None:
    """The default, the paper's engine and its ablation exist and have a description."""
    assert check_engine(name) == name
    assert ENGINES[name].about


def test_unknown_engine() -> None:
    """An unknown engine is refused with the list of engines, when checked and when created."""
    with pytest.raises(
        SettingError, match="no engine 'magic'; choose one of speculative, outlines, "
    ):
        check_engine("magic")
    with pytest.raises(SettingError, match="no engine 'magic'"):
        create_engine("magic", tiny_model("llama", 348, 1), tiny_tokenizer(), LIMITS, "a")


def test_only_the_constrained_engine_compiles_the_expression() -> None:
    """An invalid expression is an error for the paper's engine and not for the ablation."""
    model, tokenizer = tiny_model("llama", 348, 1), tiny_tokenizer()
    with pytest.raises(ModelError):
        create_engine("outlines", model, tokenizer, LIMITS, "[")
    create_engine("unconstrained", model, tokenizer, LIMITS, "[")


def test_a_tokenizer_of_another_model_is_refused() -> None:
    """An id without an embedding is an error that names it, not a crash in the model."""
    tokenizer = tiny_tokenizer()
    model = tiny_model("llama", 348, tokenizer.eos_id)
    check_prompts(model, tokenizer, [(0, 347), (1,)], LIMITS)
    with pytest.raises(
        ModelError, match=r"^tiny: its tokenizer produces id 348, .* 348 embeddings"
    ):
        check_prompts(model, tokenizer, [(0, 1), (348, 2)], LIMITS)
    small = tiny_model("llama", tokenizer.eos_id, 0)
    with pytest.raises(ModelError, match=f"produces id {tokenizer.eos_id}, "):
        check_prompts(small, tokenizer, [(0,)], LIMITS)


def test_a_model_with_too_few_positions_is_refused() -> None:
    """Prompt and answer must fit into the model's positions, here 4096."""
    tokenizer = tiny_tokenizer()
    model = tiny_model("llama", 348, tokenizer.eos_id)
    check_prompts(model, tokenizer, [(0,) * 4000, (0,)], DecodingLimits(1, 96))
    with pytest.raises(ModelError, match=r"take up to 4097 tokens, and the model has 4096"):
        check_prompts(model, tokenizer, [(0,) * 4000, (0,)], DecodingLimits(1, 97))


def test_ids_without_a_logit_are_left_out_of_the_constraint() -> None:
    """If the tokenizer has more ids than the weights, only those with a logit are allowed."""
    tokenizer = tiny_tokenizer()
    model = tiny_model("llama", 300, tokenizer.eos_id)
    engine = create_engine("outlines", model, tokenizer, DecodingLimits(1, 5), "[a-z ]+")
    ((_, completion),) = next(engine.generate([(0, 40)]))
    assert len(completion.token_ids) == 5
    assert max(completion.token_ids) < 300
