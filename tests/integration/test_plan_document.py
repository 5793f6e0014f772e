"""The numbers in docs/plan.md are those that the code computes."""

import re
from pathlib import Path

from benchmark.decoding.protocols import protocol
from benchmark.models.registry import groups, registry
from benchmark.planning import forecast
from benchmark.planning.planning import planning

TEXT = (Path(__file__).parents[2] / "docs" / "plan.md").read_text(encoding="utf-8")


def test_the_table_of_models_is_the_forecast() -> None:
    """The table has the forecast of every paper model on one H100, and the text has the sums."""
    all_models, named = registry(), protocol("default")
    limits = named.limits
    how = forecast.Wanted(named.dtype("cuda"), limits.batch_size, limits.max_new_tokens)
    machine = forecast.machine("H100-80GB-SXM", 1, 80)
    pairs = tuple(all_models.pairs.values())
    models = [
        model
        for model in forecast.plan(all_models, pairs, groups(all_models), machine, how).models
        if model.model.paper
    ]
    rows = [
        f"| {model.model.key} | {model.dtype} | {model.gpus} | {model.batch_size} "
        f"| {model.decoding.about:.0f} | {model.plain.about:.0f} | {model.loading:.0f} |"
        for model in models
    ]
    assert len(rows) == 29
    assert re.findall(r"^\| [\w.-]+ \| (?:bfloat16|8bit) \|.*\|$", TEXT, re.MULTILINE) == rows
    sums = (
        sum(model.decoding.about for model in models) / 60,
        sum(model.plain.about for model in models) / 60,
        sum(model.loading for model in models) / 60,
    )
    drafts, plain, loading = (f"{minutes:.0f}" for minutes in sums)
    assert f"{drafts} minutes with drafts, {plain} with a pass a\ntoken, and {loading} of" in TEXT


def test_passes_and_tokens_are_those_of_the_data() -> None:
    """The document has the same numbers of passes and tokens as the data file."""
    for drafted in planning().workload.drafted:
        figures = (
            f"batch {drafted.batch_size}: {drafted.passes}, {drafted.tokens}, {drafted.scored}"
        )
        assert figures in TEXT
