"""Paired comparisons of two measurements."""

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from benchmark.boxes.baseline import Percentages
from benchmark.records import Outcome
from benchmark.runs.paired_comparison import better_format, broken_answers, compare
from benchmark.runs.run_result import RunResult
from benchmark.stats.summary import Scored

Measurement = Callable[..., RunResult]


@pytest.fixture
def measurement() -> Measurement:
    """``measurement(rates, seed, texts=...)``: made-up outcomes of 60 sequences of two states."""

    def create(rates: tuple[float, float], seed: int, texts: tuple[str, ...] = ()) -> RunResult:
        rng = np.random.default_rng(seed)
        outcomes = tuple(
            Outcome(n // 2, (0, 0, 1, 2, 2, 3, 1), tuple(bool(x) for x in right))
            for n, right in enumerate(
                rng.random((120, 7)) < [rates[0]] * 2 + [rates[1]] * 5  # numops 0, numops >= 1
            )
        )
        empty: dict[str, object] = {}
        chance: Percentages = {"overall": None, "nontrivial": None, "by_numops": {}}
        exact = (replace(outcome, correct=(False,) * 7) for outcome in outcomes)
        scores = {"set": Scored.of(outcomes), "exact": Scored.of(exact)}
        return RunResult(texts, scores, {"set": chance}, empty, empty)

    return create


def test_each_group_is_compared(measurement: Measurement) -> None:
    """All queries, those with numops >= 1 and each numops are compared."""
    base, variant = measurement((0.9, 0.2), 1), measurement((0.9, 0.6), 2)
    comparison = compare(base, variant)
    assert (comparison.overall.queries, comparison.nontrivial.queries) == (840, 600)
    assert {n: test.queries for n, test in comparison.by_numops.items()} == {
        0: 240,
        1: 240,
        2: 240,
        3: 120,
    }
    for numops, test in comparison.by_numops.items():
        tallies = [m.summary.by_numops[numops].tally for m in (base, variant)]
        assert test.difference == pytest.approx(tallies[1].accuracy - tallies[0].accuracy)
        assert test.gained - test.lost == tallies[1].correct - tallies[0].correct
    assert comparison.nontrivial.greater < 0.001
    assert comparison.by_numops[0].two_sided > 0.05


def test_every_score_is_compared(measurement: Measurement) -> None:
    """The document has counts and differences by ``set``, and under ``exact`` by that score."""
    comparison = compare(measurement((0.9, 0.2), 1), measurement((0.9, 0.6), 2))
    document = json.loads(json.dumps(comparison.as_json()))
    assert document["base"]["overall"]["correct"] == comparison.base.summary.overall.tally.correct
    assert document["base"]["exact"]["overall"] == {"correct": 0, "total": 840}
    assert document["variant"]["exact"]["by_numops"]["3"] == {"correct": 0, "total": 120}
    assert document["difference"]["nontrivial"]["gained"] == comparison.nontrivial.gained
    assert document["difference"]["exact"]["nontrivial"]["gained"] == 0
    smallest = comparison.nontrivial.detectable
    assert smallest
    assert document["difference"]["nontrivial"]["detectable"] == round(100 * smallest, 2)
    # No outcome by exact changed: some nine of 840 would have been found.
    assert document["difference"]["exact"]["overall"]["detectable"] == pytest.approx(1.1, abs=0.05)
    assert document["difference"]["exact"].keys() == {"overall", "nontrivial", "by_numops"}


def test_figures_are_reproducible(measurement: Measurement) -> None:
    """The same outcomes have the same p-values and intervals."""
    base, variant = measurement((0.9, 0.2), 1), measurement((0.9, 0.25), 2)
    assert compare(base, variant).as_json() == compare(base, variant).as_json()


def test_the_better_format(measurement: Measurement) -> None:
    """Chat if it has more right, else completion, and whether this is significant."""
    low, high = measurement((0.5, 0.2), 1), measurement((0.9, 0.6), 2)
    assert better_format(compare(low, high)) == ("chat", True)
    assert better_format(compare(high, low)) == ("completion", True)
    assert better_format(compare(low, low)) == ("completion", False)


def test_broken_answers(measurement: Measurement) -> None:
    """An answer keeps the format if it begins with a match, with any text after the full stop."""
    clauses = ", ".join(f"Box {n} contains the bag and the map" for n in range(7))
    texts = (
        f"Statement: {clauses}.",
        f" Statement: {clauses}.\n\nDescription: Box 0 contains",
        f"{clauses}.",
        f"Statement: {clauses}",
        "Statement: " + clauses.replace("Box 3", "Box 4") + ".",
        "Statement: " + clauses.replace("bag", "b4g") + ".",
        "",
    )
    assert broken_answers(measurement((0.5, 0.5), 1, texts)) == 5
