"""The summary of a run as JSON."""

from benchmark.records import Outcome, Tally
from benchmark.stats.intervals import normal_interval
from benchmark.stats.summary import Estimate, summarize

OUTCOMES = [
    Outcome(1, (0, 0, 1), (True, True, False)),
    Outcome(2, (0, 1, 3), (False, True, True)),
]


def test_json_has_counts_by_numops() -> None:
    """Counts are ``correct`` and ``total``; numops are strings, and only those that occur."""
    document = summarize(OUTCOMES).as_json()
    assert document["overall"] == {"correct": 4, "total": 6}
    assert document["nontrivial"] == {"correct": 2, "total": 3}
    assert document["by_numops"] == {
        "0": {"correct": 2, "total": 3},
        "1": {"correct": 1, "total": 2},
        "3": {"correct": 1, "total": 1},
    }


def test_json_has_percentages_with_intervals() -> None:
    """Each accuracy is in per cent and inside its interval."""
    percent = summarize(OUTCOMES).as_json()["percent"]
    assert isinstance(percent, dict)
    rows = [percent["overall"], percent["nontrivial"], *percent["by_numops"].values()]
    assert [row["accuracy"] for row in rows] == [66.67, 66.67, 66.67, 50.0, 100.0]
    assert all(0 <= row["low"] <= row["accuracy"] <= row["high"] <= 100 for row in rows)


def test_without_nontrivial_queries_there_is_no_accuracy() -> None:
    """Without non-trivial queries the accuracy is null and the interval is 0 to 100."""
    percent = summarize([Outcome(1, (0,), (True,))]).as_json()["percent"]
    assert isinstance(percent, dict)
    assert percent["nontrivial"] == {"accuracy": None, "low": 0.0, "high": 100.0}


def test_an_interval_without_width_is_not_shown() -> None:
    """The paper's interval of 0 of 29 has no width, so it is not shown; other intervals are."""
    none, few = (Estimate(t, normal_interval(t)) for t in (Tally(0, 29), Tally(4, 29)))
    assert none.shown_interval is None
    assert few.shown_interval == few.interval
