"""The table of a paired comparison."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from benchmark.records import Tally
from benchmark.runs.paired_table import comparison_table, detectable_note
from benchmark.runs.sensitivity_table import PromptRow, sensitivity_table
from benchmark.stats.constants import MIN_CLUSTERS_FOR_INTERVAL
from benchmark.stats.differences import ClusteredDifference
from benchmark.stats.intervals import Interval
from benchmark.stats.paired import PairedTest, PairedTests
from benchmark.stats.summary import Estimate, Summary


def _test(clusters: int, error: float | None = 0.1) -> PairedTest:
    return PairedTest(0.25, 3, 1, 8, clusters, 0.2, 0.4, ClusteredDifference(0.25, clusters, error))


def _drawn(of_one: PairedTest, exact: PairedTests | None = None) -> list[str]:
    """Return the lines of a table with this test at numops 1; all others have intervals.

    By ``exact`` the tests are the same unless others are given.
    """
    estimate = Estimate(Tally(4, 8), Interval(0.2, 0.8))
    summary = Summary(estimate, estimate, {0: estimate, 1: estimate})
    fine = _test(MIN_CLUSTERS_FOR_INTERVAL)
    console = Console(file=io.StringIO(), width=80)
    tests = PairedTests(fine, fine, {0: fine, 1: of_one})
    scores = {"set": tests, "exact": exact or tests}
    console.print(comparison_table("a, b", ("a", "b"), (summary, summary), scores))
    assert isinstance(console.file, io.StringIO)
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]


def test_rows_and_their_figures() -> None:
    """A row per numops, then the sums, and no note if every row has an interval.

    The p-values of all rows but ``>= 1`` are adjusted together: three times 0.4 is more than 1.
    """
    lines = _drawn(_test(MIN_CLUSTERS_FOR_INTERVAL, 0.2))
    assert "0 8 50.0 50.0 +25.0 +3.0 to +47.0 1" in lines
    assert "1 8 50.0 50.0 +25.0 -19.0 to +69.0 1" in lines
    assert ">= 1 8 50.0 50.0 +25.0 +3.0 to +47.0 0.4" in lines
    assert not any("no interval" in line for line in lines)
    assert "p: >= 1 is the main comparison; all other rows adjusted together (Holm)" in lines


@pytest.mark.parametrize(
    ("test", "reason"),
    [
        (_test(MIN_CLUSTERS_FOR_INTERVAL - 1), "fewer than 12 sequences"),
        (_test(MIN_CLUSTERS_FOR_INTERVAL, None), "all sequences differ alike"),
    ],
)
def test_a_missing_interval_is_a_dash_with_a_reason(test: PairedTest, reason: str) -> None:
    """Too few sequences, or no variation between them, are a dash; a note says why."""
    lines = _drawn(test)
    assert "1 8 50.0 50.0 +25.0 \N{EN DASH} 1" in lines
    assert f"\N{EN DASH}: no interval: {reason}" in lines


def test_the_smallest_detectable_difference_is_a_note() -> None:
    """The note names both sums; too few sequences are a dash."""
    seeing = ClusteredDifference(0.25, 400, 0.1, spread=0.001, step=0.0001)
    few = ClusteredDifference(0.25, 11, 0.1, spread=0.001, step=0.0001)
    tests = {name: replace(_test(12), clustered=own) for name, own in (("a", seeing), ("b", few))}
    noise = 2.80 * (0.001**2 + 0.0001**2) ** 0.5
    points = 100 * (noise + 2.80**2 * 0.0001 / 2)  # nearly the solution, as noise is larger
    assert detectable_note(tests) == (
        f"could have seen (points, power 80 %): a: {points:.1f}, b: \N{EN DASH}"
    )
    assert any(line.startswith("could have seen (points") for line in _drawn(_test(12)))


def test_prompt_variants_name_the_range_of_detectable_differences() -> None:
    """A note below the table has the least and the largest of its rows."""
    estimate = Estimate(Tally(4, 8), Interval(0.2, 0.8))
    summary = Summary(estimate, estimate, {0: estimate, 1: estimate})
    tests = [
        replace(_test(12), clustered=ClusteredDifference(0.25, 400, 0.1, spread=spread, step=1e-4))
        for spread in (0.01, 0.02)
    ]
    rows = [
        PromptRow(
            "authors", leading_bos=False, summaries={"set": summary, "exact": summary}, tests=None
        )
    ]
    for test in tests:
        groups = {by: PairedTests(test, test, {0: tests[0]}) for by in ("set", "exact")}
        rows.append(rows[0]._replace(name="chat", tests=groups))
    note = "could have seen (points, power 80 %): numops 0: 2.8, numops >= 1: 2.8 to 5.7"
    assert note in str(sensitivity_table("a", rows).caption).splitlines()
    assert len(note) <= 80


def test_a_line_if_the_other_score_decides_differently() -> None:
    """The difference by exact is shown if it alone is significant, or has the other sign."""
    same = _test(MIN_CLUSTERS_FOR_INTERVAL)
    sure = replace(same, difference=-0.5, two_sided=0.01)
    assert not any("exact" in line for line in _drawn(same))
    lines = _drawn(same, PairedTests(same, sure, {}))
    assert "by exact (>= 1): -50.0 points, p 0.01 alone, unlike by set" in lines
    assert not any("(all)" in line for line in lines)
    assert max(map(len, lines)) <= 80
