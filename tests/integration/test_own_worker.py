"""The benchmark's own engines as `speed` runs them, asked in this process and not over a pipe."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from transformers import CohereConfig, CohereForCausalLM, PreTrainedModel

from benchmark.errors import ModelError
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.speed import own_worker
from benchmark.speed.messages import LimitTaken, MarginTaken, Setup, Taken

EXPRESSION = r"( [a-z]+){1,4}\."
PROMPTS = ["the box has a bag and", "the box has a map", "the bag"]


@pytest.fixture
def setup(
    tmp_path: Path,
    tiny_model: Callable[..., PreTrainedModel],
    tiny_tokenizer: Callable[..., TransformersTokenizer],
) -> Callable[..., Setup]:
    """``setup(engine, model=None)``: what an engine is opened with, for a tiny model's folder."""
    tokenizer = tiny_tokenizer()

    def create(engine: str, model: PreTrainedModel | None = None) -> Setup:
        folder = tmp_path / engine
        if not folder.exists():
            made = model or tiny_model("llama", len(tokenizer.raw), tokenizer.eos_id)
            made.save_pretrained(folder)
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
def prompts(tiny_tokenizer: Callable[..., TransformersTokenizer]) -> list[list[int]]:
    """Three prompts that begin alike."""
    tokenizer = tiny_tokenizer()
    return [list(tokenizer.encode(text)) for text in PROMPTS]


def _open(given: Setup) -> Callable[..., object]:
    return own_worker._create(given)


def _answered(given: Setup, prompts: list[list[int]]) -> Taken:
    work = {"batch_size": 2, "prompts": prompts, "expected": [[]] * len(prompts)}
    return cast("Taken", _open(given)(work))


def test_engines_answer_alike(setup: Callable[..., Setup], prompts: list[list[int]]) -> None:
    """The default in fewer passes and tokens than the paper's, with counts of what went through."""
    ours, theirs = (_answered(setup(name), prompts) for name in ("speculative", "outlines"))
    assert ours["answers"] == theirs["answers"]
    assert all(ours["answers"])
    assert 0 < (ours["passes"] or 0) < (theirs["passes"] or 0)
    assert 0 < (ours["tokens"] or 0) < (theirs["tokens"] or 0)
    assert {"stood_in", "gpu_memory"}.isdisjoint(ours)


def test_prompts_that_do_not_fit_are_refused(
    setup: Callable[..., Setup], prompts: list[list[int]]
) -> None:
    """As by ``run``: more tokens than positions, and ids without an embedding."""
    long = {**setup("outlines"), "max_new_tokens": 5000}
    with pytest.raises(ModelError, match="positions"):
        _answered(cast("Setup", long), prompts)
    with pytest.raises(ModelError, match="of another model"):
        _answered(setup("outlines"), [[5000]])


def test_who_stands_in_is_told(
    setup: Callable[..., Setup],
    prompts: list[list[int]],
    tiny_tokenizer: Callable[..., TransformersTokenizer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A model that packed passes do not fit is run by outlines, and what a GPU held is told."""
    tokenizer = tiny_tokenizer()
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1}
    special = {"eos_token_id": tokenizer.eos_id, "bos_token_id": 0, "pad_token_id": 0}
    config = CohereConfig(vocab_size=len(tokenizer.raw), num_attention_heads=4, **sizes, **special)
    monkeypatch.setattr(own_worker, "gpu_memory", lambda device: 123)
    taken = _answered(setup("speculative", CohereForCausalLM(config).eval()), prompts)
    assert taken["stood_in"].startswith("engine outlines in place of speculative")
    assert taken["gpu_memory"] == 123


def test_limit_and_margins(setup: Callable[..., Setup], prompts: list[list[int]]) -> None:
    """Seconds above nothing, choices counted; a margin is the difference of two logits."""
    answers = _answered(setup("outlines"), prompts)["answers"]
    limit = cast("LimitTaken", _open(setup("limit"))({"answers": answers}))
    assert min(limit["layers"], limit["head"], limit["reading"]) > 0
    assert 1 < limit["choices"] <= 1 + max(map(len, answers))
    margins = _open(setup("margins"))
    places = [
        {"prompt": prompts[0], "before": [], "ours": one, "theirs": other}
        for one, other in ((5, 5), (5, 9), (9, 5))
    ]
    same, there, back = cast("MarginTaken", margins({"differences": places}))["margins"]
    assert same == 0
    assert there == pytest.approx(-back) != 0
