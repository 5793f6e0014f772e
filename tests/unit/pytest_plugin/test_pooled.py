"""The pooled effects in pytest's summary, from what the tests of pairs kept."""

import json
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmark.models.registry import registry
from benchmark.models.registry_types import Pair
from benchmark.pytest_plugin.pooled import attach, keep_results, pooled_effects
from fakes.finished_runs import correct_answer, first_states, initial_answer, write_run

CODE = [pair for pair in registry().pairs.values() if pair.paper and pair.experiment == "code"]


def _report(pair: Pair, folder: Path, **changes: object) -> object:
    """Return the report of a pair whose variant is right, as it comes from a worker of xdist."""
    states = first_states(26)
    documents = {}
    for role, key, answer in (
        ("base", pair.base, initial_answer),
        ("variant", pair.variant, correct_answer),
    ):
        protocol = {"engine": "outlines", "prompt_format": registry().model(key).format}
        run = write_run(folder / role, key, states, answer, protocol=protocol, **changes)
        documents[role] = json.loads((run / "result.json").read_text())
    item: Any = SimpleNamespace(stash=pytest.Stash())
    keep_results(item, pair, **documents)
    reports = []
    for when in ("setup", "call"):
        report = pytest.TestReport("test", ("", 0, ""), {}, "skipped", None, when)
        attach(item, report)
        sent = json.loads(json.dumps(report._to_json()))
        reports.append(pytest.TestReport._from_json(sent))
    assert [hasattr(report, "results_of_pair") for report in reports] == [False, True]
    return reports[1]


def _lines(pairs: Iterable[Pair], folder: Path, **changes: object) -> list[str]:
    reports = [_report(pair, folder / pair.id, **changes) for pair in pairs]
    return [*pooled_effects([*reports, SimpleNamespace()], registry())]


def test_judged_pairs_are_pooled(tmp_path: Path) -> None:
    """The lines are those of the command line, for the experiments that were judged."""
    head, code, heterogeneity, foot = _lines(CODE[:4], tmp_path)
    assert head.startswith("Pooled effects at numops >= 1 by exact")
    assert code.startswith("code: +")
    assert code.endswith(" 4 pairs")
    assert "tau = " in heterogeneity
    assert "adjusted by Holm over the experiments" in foot


def test_too_few_pairs_are_not_pooled(tmp_path: Path) -> None:
    """Nor are pairs that are not the paper's, and answers on another task."""
    newer = [pair.model_copy(update={"paper": False}) for pair in CODE]
    assert _lines(CODE[:2], tmp_path / "two") == []
    assert [*pooled_effects([], registry())] == []
    own = registry().model_copy(update={"pairs": {pair.id: pair for pair in newer}})
    reports = [_report(pair, tmp_path / "new" / pair.id) for pair in newer[:3]]
    assert [*pooled_effects(reports, own)] == []
    data = {"sha256": "d2", "task": "move-contents"}
    assert _lines(CODE[:3], tmp_path / "task", data=data) == []
