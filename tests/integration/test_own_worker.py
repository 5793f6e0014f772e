"""The worker of the benchmark's own engines, called directly and not over a pipe."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import pytest
from transformers import CohereConfig, CohereForCausalLM, PreTrainedModel

from benchmark.decoding.engines import ENGINES
from benchmark.decoding.external.messages import DecodeReply, EngineSetup, LimitReply, MarginReply
from benchmark.decoding.finite_logits import NonFiniteLogitsError
from benchmark.decoding.speculative import engine
from benchmark.errors import ModelError
from benchmark.speed import own_worker
from fakes import overflowing
from fakes.tiny_models import tiny_model
from fakes.tiny_tokenizer import tiny_tokenizer

EXPRESSION = r"( [a-z]+){1,4}\."
PROMPTS = ["the box has a bag and", "the box has a map", "the bag"]


@pytest.fixture
def setup(
    tmp_path: Path,
) -> Callable[..., EngineSetup]:
    """``setup(engine, model=None)`` returns the message that opens an engine on a tiny model."""
    tokenizer = tiny_tokenizer()

    def create(engine: str, model: PreTrainedModel | None = None) -> EngineSetup:
        folder = tmp_path / engine
        if not folder.exists():
            saved = model or tiny_model("llama", len(tokenizer.raw), tokenizer.eos_id)
            saved.save_pretrained(folder)
            tokenizer.raw.save_pretrained(folder)
        return {
            "engine": engine,
            "row": {"name": engine},
            "model": str(folder),
            "dtype": "float32",
            "device": "cpu",
            "max_new_tokens": 30,
            "max_model_len": 100,
            "expression": EXPRESSION,
            "grammar": "",
            "stops": [tokenizer.eos_id],
            "tuned": {},
        }

    return create


@pytest.fixture
def prompts() -> list[list[int]]:
    """Three prompts with a common prefix."""
    tokenizer = tiny_tokenizer()
    return [list(tokenizer.encode(text)) for text in PROMPTS]


def _open(setup: EngineSetup) -> Callable[..., object]:
    return own_worker._create(setup)


def _answered(setup: EngineSetup, prompts: list[list[int]]) -> DecodeReply:
    work = {
        "batch_size": 2,
        "states": range(len(prompts)),
        "prompts": prompts,
        "expected": [[]] * len(prompts),
    }
    return cast("DecodeReply", _open(setup)(work))


def test_engines_agree(setup: Callable[..., EngineSetup], prompts: list[list[int]]) -> None:
    """The default engine has the paper's answers, in fewer passes."""
    ours, theirs = (_answered(setup(name), prompts) for name in ("speculative", "outlines"))
    assert ours["answers"] == theirs["answers"]
    assert all(ours["answers"])
    assert 0 < (ours["passes"] or 0) < (theirs["passes"] or 0)
    # Of three answers nothing is learned yet: some drafts of these random texts are wrong.
    assert 0 < (ours["tokens"] or 0) < 1.5 * (theirs["tokens"] or 0)
    assert {"stood_in", "gpu_memory"}.isdisjoint(ours)
    assert ours["products"] in ENGINES["speculative"].products
    assert ours.get("kernels", "").startswith("Numba") is bool(find_spec("numba"))


@pytest.mark.parametrize("fused", [True, False])
def test_compiled_kernels_can_be_forbidden(
    setup: Callable[..., EngineSetup],
    prompts: list[list[int]],
    monkeypatch: pytest.MonkeyPatch,
    fused: bool,  # noqa: FBT001  # a case
) -> None:
    """With ``fused`` false the engine does not ask for them."""
    asked: list[object] = []
    monkeypatch.setattr(engine, "fused_kernels", lambda *kind: asked.append(kind))
    message = cast("EngineSetup", {**setup("speculative"), "fused": fused})
    assert len(_answered(message, prompts[:1])["answers"]) == 1
    assert bool(asked) is fused


def test_prompts_that_do_not_fit_are_refused(
    setup: Callable[..., EngineSetup], prompts: list[list[int]]
) -> None:
    """As with ``run``: more tokens than positions, and ids without an embedding."""
    long = {**setup("outlines"), "max_new_tokens": 5000}
    with pytest.raises(ModelError, match="positions"):
        _answered(cast("EngineSetup", long), prompts)
    with pytest.raises(ModelError, match="belong to another model"):
        _answered(setup("outlines"), [[5000]])


def test_fallback_engine_is_reported(
    setup: Callable[..., EngineSetup],
    prompts: list[list[int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An unsupported model runs on outlines with the reason, and GPU memory is reported."""
    tokenizer = tiny_tokenizer()
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1}
    special = {"eos_token_id": tokenizer.eos_id, "bos_token_id": 0, "pad_token_id": 0}
    config = CohereConfig(vocab_size=len(tokenizer.raw), num_attention_heads=4, **sizes, **special)
    monkeypatch.setattr(own_worker, "peak_gpu_memory", lambda device: 123)
    reply = _answered(setup("speculative", CohereForCausalLM(config).eval()), prompts)
    assert reply["stood_in"].startswith("engine outlines is used instead of speculative")
    assert reply["gpu_memory"] == 123


def test_limit_and_margins(setup: Callable[..., EngineSetup], prompts: list[list[int]]) -> None:
    """Times are positive, choices are counted, and a margin is the difference of two logits."""
    answers = _answered(setup("outlines"), prompts)["answers"]
    limit = cast("LimitReply", _open(setup("limit"))({"answers": answers}))
    assert min(limit["layers"], limit["head"], limit["reading"]) > 0
    assert 1 < limit["choices"] <= 1 + max(map(len, answers))
    assert set(limit["products"]) <= set(ENGINES["speculative"].products)
    margins = _open(setup("margins"))
    positions = [
        {"prompt": prompts[0], "before": [], "ours": one, "theirs": other}
        for one, other in ((5, 5), (5, 9), (9, 5))
    ]
    same, forward, backward = cast("MarginReply", margins({"differences": positions}))["margins"]
    assert same == 0
    assert forward == pytest.approx(-backward) != 0
    work = {"differences": positions[:2], "answers": [answers[0], [*answers[0][:-1], 5]]}
    assert cast("MarginReply", margins(work))["certified"] == [True, False]


def test_logits_that_are_not_finite_end_the_round(
    setup: Callable[..., EngineSetup],
    prompts: list[list[int]],
) -> None:
    """An engine that overflows has no time, but an error with the place."""
    tokenizer = tiny_tokenizer()
    model = tiny_model("llama", len(tokenizer.raw), tokenizer.eos_id)
    overflowing.overflowing(model, prompts[0][-1])
    half = cast("EngineSetup", {**setup("outlines", model), "dtype": "float16"})
    with pytest.raises(NonFiniteLogitsError, match="token 0 of the answer to state 0 are not"):
        _answered(half, prompts[:1])
