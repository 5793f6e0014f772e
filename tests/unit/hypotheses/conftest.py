"""Synthetic results: every model has the same accuracy unless a case names another."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import get_args

import pytest

from benchmark.hypotheses.results import Decoding, EvaluationSetting, PromptFormat, Result, Results
from benchmark.models.registry import registry
from benchmark.records import Tally

_SIZES = {f"llama2-{size}" for size in ("7b", "13b", "70b")} | {
    f"codellama-{size}" for size in ("7b", "13b", "34b", "70b")
}

Percent = int | list[int]
MakeResults = Callable[..., Results]


@pytest.fixture
def make_results() -> MakeResults:
    """Make results: ``make_results({"llama2-7b": 60, "llama2-70b/unconstrained": [...]})``.

    Keys name a model, with a setting other than its own after a slash. Values are accuracies in
    per cent, one for all numops from 0 to 7 or one for each. Other models have 30, aligned ones in
    both formats, Llama 2 and CodeLlama also unconstrained. ``queries`` is the number of queries at
    each numops. Random is 10. The share of answers that keep the format is the accuracy at 0.
    """

    def create(named: Mapping[str, Percent], queries: int = 3000) -> Results:
        values: dict[str, Percent] = dict.fromkeys(_all_names(), 30)
        values.update(named)
        return Results(tuple(_result(name, value, queries) for name, value in values.items()))

    return create


def _all_names() -> list[str]:
    models = [model for model in registry().models.values() if model.paper]
    other = {"chat": "completion", "completion": "chat"}
    return [
        *(model.key for model in models),
        *(f"{m.key}/{other[m.format]}" for m in models if "alignment" in m.added),
        *(f"{model.key}/unconstrained" for model in models if model.key in _SIZES),
    ]


def _result(name: str, value: Percent, queries: int) -> Result:
    key, _, other = name.partition("/")
    percents = value if isinstance(value, list) else [value] * 8
    setting = EvaluationSetting("constrained", registry().model(key).format)
    for decoding in get_args(Decoding):
        setting = setting._replace(decoding=decoding) if decoding == other else setting
    for prompt_format in get_args(PromptFormat):
        setting = (
            setting._replace(prompt_format=prompt_format) if prompt_format == other else setting
        )
    result = Result(
        model=key,
        setting=setting,
        by_numops={n: Tally(p * queries // 100, queries) for n, p in enumerate(percents)},
        chance=dict.fromkeys(range(8), 0.1),
        data="hand-made",
        source=name,
        score="exact",
    )
    kept = replace(result, by_numops={0: result.by_numops[0]}, chance={}, score="format")
    return replace(result, others={"format": kept})
