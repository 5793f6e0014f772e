"""The table of two measurements side by side."""

import io
from dataclasses import replace

from rich.console import Console

from benchmark.records import Tally
from benchmark.runs.paired_table import comparison_table
from benchmark.stats.intervals import Interval
from benchmark.stats.paired import FEWEST, PairedTest, PairedTests
from benchmark.stats.summary import Estimate, Summary


def _test(clusters: int, low: float, high: float) -> PairedTest:
    return PairedTest(0.25, 3, 1, 8, clusters, 0.2, 0.4, Interval(low, high))


def _drawn(of_one: PairedTest, exact: PairedTests | None = None) -> list[str]:
    """The lines of a table whose group of numops 1 has this test; all others are telling.

    By ``exact`` the tests are the same where no others are given.
    """
    estimate = Estimate(Tally(4, 8), Interval(0.2, 0.8))
    summary = Summary(estimate, estimate, {0: estimate, 1: estimate})
    fine = _test(FEWEST, -0.1, 0.6)
    console = Console(file=io.StringIO(), width=80)
    tests = PairedTests(fine, fine, {0: fine, 1: of_one})
    scores = {"set": tests, "exact": exact or tests}
    console.print(comparison_table("a, b", ("a", "b"), (summary, summary), scores))
    assert isinstance(console.file, io.StringIO)
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]


def test_rows_and_their_figures() -> None:
    """A row a numops, then the sums, and no note where every row has an interval."""
    lines = _drawn(_test(FEWEST, 0.0, 0.5))
    assert "0 8 50.0 50.0 +25.0 -10.0 to +60.0 0.4" in lines
    assert "1 8 50.0 50.0 +25.0 +0.0 to +50.0 0.4" in lines
    assert ">= 1 8 50.0 50.0 +25.0 -10.0 to +60.0 0.4" in lines
    assert not any("no interval" in line for line in lines)


def test_what_cannot_tell_has_no_interval() -> None:
    """Too few sequences, or no width, are a dash and not certainty; a note says why."""
    for untold in (_test(FEWEST - 1, 0.0, 0.5), _test(FEWEST, 0.25, 0.25)):
        lines = _drawn(untold)
        assert "1 8 50.0 50.0 +25.0 \N{EN DASH} 0.4" in lines
        assert any(f"no interval from under {FEWEST} sequences" in line for line in lines)


def test_a_line_where_the_other_score_decides_otherwise() -> None:
    """The difference by exact is told where it alone is beyond chance, or goes the other way."""
    same = _test(FEWEST, -0.1, 0.6)
    sure = replace(same, difference=-0.5, two_sided=0.01)
    assert not any("exact" in line for line in _drawn(same))
    lines = _drawn(same, PairedTests(same, sure, {}))
    assert "by exact (>= 1): -50.0 points, p 0.01, unlike by set" in lines
    assert not any("(all)" in line for line in lines)
    assert max(map(len, lines)) <= 80
