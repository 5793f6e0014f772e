"""The trial of padding: which models take it, and what happens with those that do not."""

import io
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    PreTrainedModel,
    RwkvConfig,
    RwkvForCausalLM,
)

from benchmark.decoding import padding
from benchmark.decoding.engine import DecodingLimits
from benchmark.decoding.engines import create_engine
from benchmark.decoding.log_probs import ForcedSequence
from benchmark.decoding.oom_retry import OomRetry
from benchmark.decoding.outlines_engine import OutlinesEngine
from benchmark.decoding.padding import unpadded_reason
from benchmark.decoding.speculative.model_runner import ragged
from benchmark.decoding.teacher_forcing import teacher_forced_log_probs
from benchmark.models.tokenizer import TransformersTokenizer
from fakes.engine_rows import with_weights
from fakes.tiny_models import tiny_model
from fakes.tiny_tokenizer import tiny_tokenizer

VOCABULARY, EOS = 352, 1
ENDS: dict[str, Any] = {"vocab_size": VOCABULARY, "bos_token_id": 0, "eos_token_id": EOS}
WORDS = r"( [a-z]{1,6}){0,3}\."
TEXTS = ("Box", "Box 0 contains the bag and the map.", "Move the car from Box 6.")


def _rwkv() -> PreTrainedModel:
    """Return an RWKV: its class reads padding like text, for it ignores the mask."""
    sizes = {"hidden_size": 32, "attention_hidden_size": 32, "num_hidden_layers": 2}
    return _seeded(lambda: RwkvForCausalLM(RwkvConfig(context_length=256, **sizes, **ENDS)))


def _seeded(create: Callable[[], PreTrainedModel]) -> PreTrainedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return create().eval()


class AbsolutePositions(GPT2LMHeadModel):  # type: ignore[misc]  # untyped in transformers
    """A GPT-2 that counts positions from the padding, though it heeds the mask."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  # as its parent's
        """Leave the positions out that ``generate`` computes from the mask."""
        return super().forward(*args, **{**kwargs, "position_ids": None})


SIZES = {"n_embd": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.3}
NEOX = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
PADDED: dict[str, Callable[[], PreTrainedModel]] = {
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(**SIZES, **ENDS)),
    "gpt-neox": lambda: GPTNeoXForCausalLM(
        GPTNeoXConfig(num_attention_heads=4, initializer_range=0.3, **NEOX, **ENDS)
    ),
    "bloom": lambda: BloomForCausalLM(BloomConfig(hidden_size=32, n_layer=2, n_head=4, **ENDS)),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", [*PADDED, "llama", "gemma2", "mistral"])
def test_models_that_take_padding(name: str, dtype: torch.dtype) -> None:
    """Rounding is no reason, in any dtype, for any way of counting positions."""
    model = _seeded(PADDED[name]) if name in PADDED else tiny_model(name, VOCABULARY, EOS)
    assert unpadded_reason(model.to(dtype), EOS, 2) is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "create", [_rwkv, lambda: _seeded(lambda: AbsolutePositions(GPT2Config(**SIZES, **ENDS)))]
)
def test_models_that_do_not(create: Callable[[], PreTrainedModel], dtype: torch.dtype) -> None:
    """A model that reads padding, or counts it, is noticed in any dtype."""
    reason = str(unpadded_reason(create().to(dtype), EOS, 2))
    assert reason.startswith("padding changes its logits by ")


def test_trial_leaves_no_trace() -> None:
    """The model's config and weights and the random streams are as before; it is tried once."""
    model = tiny_model("llama", VOCABULARY, EOS)
    model.generation_config.num_beams = 3
    config = model.generation_config
    weights = {name: weight.clone() for name, weight in model.named_parameters()}
    passes: list[object] = []
    model.register_forward_pre_hook(lambda *_: passes.append(1))
    torch.manual_seed(5)
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state(legacy=True)  # noqa: NPY002
    assert unpadded_reason(model, EOS, 1) is None
    assert not passes
    assert unpadded_reason(model, EOS, 8) is None
    tried = len(passes)
    assert tried > 0
    assert unpadded_reason(model, EOS, 2) is None
    assert len(passes) == tried
    assert model.generation_config is config
    assert config.num_beams == 3
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert repr(np.random.get_state(legacy=True)) == repr(numpy_state)  # noqa: NPY002
    assert all(torch.equal(weight, weights[name]) for name, weight in model.named_parameters())


PADDING = {"outlines", "unconstrained", "speculative"}
"""Engines that pad, and so have to fall back; an added one may never pad."""


def test_model_that_refuses_padding(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error with padding alone is a reason; lack of memory is not, it is raised."""
    model, generate = tiny_model("llama", VOCABULARY, EOS), padding._next_logits
    errors: list[Exception] = [ValueError("no batches here"), torch.OutOfMemoryError("full")]

    def refuse(model: PreTrainedModel, prompts: list[list[int]], pad_id: int) -> torch.Tensor:
        if len(prompts) > 1:
            raise errors[0]
        return generate(model, prompts, pad_id)

    monkeypatch.setattr(padding, "_next_logits", refuse)
    assert padding._trial(model, EOS) == "it does not take padded prompts: no batches here"
    del errors[0]
    with pytest.raises(torch.OutOfMemoryError):
        padding._trial(model, EOS)


@pytest.mark.parametrize("engine", with_weights())
def test_rwkv_is_decoded_one_prompt_at_a_time(engine: str) -> None:
    """With any batch size it has the answers of batch size 1.

    An engine that falls back to one prompt at a time says why, once. One that never pads need not.
    """
    tokenizer, model = tiny_tokenizer(), _rwkv()
    prompts = [(0, *tokenizer.encode(text)) for text in TEXTS]
    results, lines = [], list[str]()
    for size in (8, 1):
        decoder = OomRetry(
            lambda limits: create_engine(engine, model, tokenizer, limits, WORDS, say=lines.append),
            DecodingLimits(size, 20),
        )
        results.append(sorted(pair for batch in decoder.generate(prompts) for pair in batch))
        if size > 1:
            fallen_back = decoder.batch_sizes == [1]
            assert fallen_back or engine not in PADDING
            reason = str(decoder.composition.get("unpadded", ""))
            assert reason.startswith("padding changes its logits") == fallen_back
    assert results[0] == results[1]
    assert len([line for line in lines if "decoded one at a time" in line]) == fallen_back


def test_trial_of_attention_is_silent() -> None:
    """What the library says about a trial that fails is not between the lines of the progress."""
    shown = io.StringIO()
    handler, logger = logging.StreamHandler(shown), logging.getLogger("transformers")
    logger.addHandler(handler)
    try:
        with ragged(_rwkv()):
            pass
    finally:
        logger.removeHandler(handler)
    assert shown.getvalue() == ""


def test_padding_would_change_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the trial RWKV answers by its neighbours, so the test above can fail."""
    tokenizer, model = tiny_tokenizer(), _rwkv()
    prompts = [(0, *tokenizer.encode(text)) for text in TEXTS]
    monkeypatch.setattr("benchmark.decoding.outlines_engine.unpadded_reason", lambda *_: None)
    alone, padded = (
        [c for batch in _engine(model, tokenizer, size).generate(prompts) for _, c in batch]
        for size in (1, 3)
    )
    assert alone != padded


def _engine(model: PreTrainedModel, tokenizer: TransformersTokenizer, size: int) -> OutlinesEngine:
    engine = create_engine("outlines", model, tokenizer, DecodingLimits(size, 20), WORDS)
    assert isinstance(engine, OutlinesEngine)
    return engine


def test_teacher_forcing_does_not_pad_rwkv() -> None:
    """Log-probabilities of RWKV are the same for any batch size."""
    rows = [ForcedSequence((3, 4, 5, 6, 7), (9, 10)), ForcedSequence((3, 4), (12,))]
    one, two = (
        [row for batch in teacher_forced_log_probs(_rwkv(), rows, 3, size, EOS) for row in batch]
        for size in (1, 2)
    )
    for expected, actual in zip(one, two, strict=True):
        assert expected.ids.tolist() == actual.ids.tolist()
        np.testing.assert_allclose(expected.values, actual.values, atol=1e-5)
