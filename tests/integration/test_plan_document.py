"""The figures of docs/plan.md are those that the code computes."""

import re
import shlex
from pathlib import Path

import pytest

from benchmark.cli.app import app
from benchmark.decoding.protocols import protocol
from benchmark.models.registry import registry
from benchmark.planning import forecast
from benchmark.planning.planning import planning

TEXT = (Path(__file__).parents[2] / "docs" / "plan.md").read_text(encoding="utf-8")


def test_the_table_of_models_is_the_forecast() -> None:
    """The table has every model of the paper as forecast for four H100s, and the text the sums."""
    all_models, named = registry(), protocol("default")
    limits = named.limits
    how = forecast.ForecastOptions(named.dtype("cuda"), limits.batch_size, limits.max_new_tokens)
    machine = forecast.machine("H100-80GB-SXM", 4, 80)
    pairs = tuple(all_models.pairs.values())
    models = [
        model
        for model in forecast.plan(all_models, pairs, machine, how).models
        if model.model.paper
    ]
    rows = [
        f"| {model.model.key} | {model.dtype} | {model.gpus} | {model.batch_size} "
        f"| {model.decoding.expected:.0f} | {model.plain.expected:.0f} | {model.loading:.0f} |"
        for model in models
    ]
    assert len(rows) == 29
    assert re.findall(r"^\| [\w.-]+ \| (?:bfloat16|8bit) \|.*\|$", TEXT, re.MULTILINE) == rows
    sums = (
        sum(model.decoding.expected for model in models) / 60,
        sum(model.plain.expected for model in models) / 60,
        sum(model.loading for model in models) / 60,
    )
    drafts, plain, loading = (f"{minutes:.0f}" for minutes in sums)
    expected = (
        f"{drafts} minutes with drafts, {plain} with\none pass per token, and {loading} minutes of"
    )
    assert expected in TEXT


CLUSTER = (Path(__file__).parents[2] / "docs" / "cluster.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("number", [0, 1])
def test_the_plans_for_a_cluster_are_those_printed(
    number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """The order of each plan in docs/cluster.md is what the command above it prints."""
    commands = re.findall(r"^entity-tracking (plan .+)$", CLUSTER, re.MULTILINE)
    blocks = re.findall(r"```text\n( +from +node .*?)```", CLUSTER, re.DOTALL)
    app(shlex.split(commands[number]), standalone_mode=False)
    printed = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    order = [line.rstrip() for line in blocks[number].splitlines()]
    assert "\n".join(order) in "\n".join(printed)


def test_passes_and_tokens_are_those_of_the_data() -> None:
    """The text has the costs of decoding with drafts from the data file."""
    drafted = planning().workload.drafted
    for how in drafted:
        figures = f"batch {how.batch_size}: {how.passes}, {how.tokens}, {how.scored}"
        assert figures in TEXT
