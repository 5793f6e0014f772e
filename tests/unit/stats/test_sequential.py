"""The sequential test of drifts: its rate of false alarms, and its delay."""

import random
from statistics import NormalDist, median

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmark.stats import sequential
from benchmark.stats.sequential import FALSE_ALARM_RESULTS, find_drift, rank_scores, threshold


def _run_length_by_markov_chain(limit: float, cells: int = 400) -> float:
    """Return the mean run length from 0, by Brook and Evans (Biometrika 59, 1972)."""
    width = 2 * limit / (2 * cells - 1)
    normal = NormalDist()
    edges = [normal.cdf((n + 0.5) * width + sequential.REFERENCE) for n in range(-cells, cells)]
    cumulative = np.array(edges)
    moves = np.empty((cells, cells))
    for start in range(cells):
        moves[start, 0] = cumulative[cells - start]
        offsets = np.arange(1, cells) - start + cells
        moves[start, 1:] = cumulative[offsets] - cumulative[offsets - 1]
    lengths = np.linalg.solve(np.eye(cells) - moves, np.ones(cells))
    return float(lengths[0])


@pytest.mark.parametrize("results", [400, FALSE_ALARM_RESULTS, 2 * FALSE_ALARM_RESULTS, 50_000])
def test_threshold_has_the_stated_run_length(results: int) -> None:
    """By a Markov chain instead of Siegmund's approximation, within 3 %."""
    assert _run_length_by_markov_chain(threshold(results)) == pytest.approx(results, rel=0.03)


def test_markov_chain_agrees_with_a_published_table() -> None:
    """The chain's own check: mean run length 465 two-sided for reference 0.5, limit 5.

    Montgomery, Introduction to Statistical Quality Control, table of the tabular CUSUM.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sequential, "REFERENCE", 0.5)
        assert _run_length_by_markov_chain(5.0) / 2 == pytest.approx(465, rel=0.01)
        assert sequential.run_length(5.0) / 2 == pytest.approx(465, rel=0.02)


def test_scores_are_independent_normal_without_a_change() -> None:
    """In any distribution: mean 0, variance 1 or, with ties, less; no correlation."""
    generator = random.Random(5)  # noqa: S311
    smooth = np.array([*rank_scores([generator.expovariate(1) for _ in range(3000)], "x")])
    assert smooth.var() == pytest.approx(1, abs=0.1)
    _check_independent(smooth)
    tied = [float(generator.choice([0, 0, 1, 7])) for _ in range(3000)]
    scores = np.array([*rank_scores(tied, "x")])
    assert 0.5 < scores.var() < 1
    _check_independent(scores)


def _check_independent(scores: NDArray[np.float64]) -> None:
    assert abs(scores.mean()) < 4 / 3000**0.5
    assert abs(np.corrcoef(scores[:-1], scores[1:])[0, 1]) < 4 / 3000**0.5


def test_rank_of_a_value() -> None:
    """Without ties the share is between the ranks below it and with it, as counted naively."""
    values = [3.0, 1.0, 2.0, 5.0, 4.0]
    normal = NormalDist()
    for number, score in enumerate(rank_scores(values, "x")):
        before = values[: number + 1]
        lower = sum(value < values[number] for value in before) / len(before)
        assert lower <= normal.cdf(score) <= lower + 1 / len(before)


def test_sums_are_those_of_the_definition() -> None:
    """Written out naively, from the same scores."""
    values = [random.Random(n).gauss(0, 1) for n in range(60)]  # noqa: S311
    drift = find_drift(values, "x")
    down = 0.0
    for number, score in enumerate(rank_scores(values, "x 0")):
        down = max(0.0, down - score - 0.25) if number >= 10 else 0.0
        assert drift.down[number] == pytest.approx(down)


def test_a_slow_drift_is_found_within_the_stated_delay() -> None:
    """0.02 standard deviations a night after 60 nights: half within 50, nine in ten within 70."""
    delays = list[int]()
    for seed in range(30):
        generator = random.Random(seed)  # noqa: S311
        values = [generator.gauss(-0.02 * max(0, n - 59), 1) for n in range(200)]
        alarms = find_drift(values, str(seed)).alarms
        delays.append(next(n - 59 for n, alarm in enumerate(alarms) if alarm == "down"))
    assert median(delays) <= 50
    assert sorted(delays)[26] <= 70


def test_few_false_alarms() -> None:
    """In 40 series of 200 nights without a change: 4.4 are expected, 12 would be too many."""
    count = 0
    for seed in range(40):
        generator = random.Random(seed)  # noqa: S311
        values = [float(generator.random() < 0.3) for _ in range(200)]
        count += any(find_drift(values, str(seed)).alarms)
    assert count < 12


def test_a_level_that_stays_is_found_once() -> None:
    """After a step the alarm lasts for 30 values; then the new level is the usual one."""
    generator = random.Random(1)  # noqa: S311
    values = [generator.gauss(-2.0 * (n >= 60), 1) for n in range(400)]
    alarms = find_drift(values, "x").alarms
    (first, *_, last) = (n for n, alarm in enumerate(alarms) if alarm)
    assert 60 < first < 75
    assert last == first + 29
    assert {*alarms[first : last + 1]} == {"down"}


def test_an_earlier_value_keeps_its_alarm() -> None:
    """What was found stays found: later values do not change earlier sums or alarms."""
    generator = random.Random(1)  # noqa: S311
    values = [generator.gauss(-2.0 * (n >= 30), 1) for n in range(120)]
    complete = find_drift(values, "x")
    for count in (20, 45, 90):
        part = find_drift(values[:count], "x")
        assert part.down == complete.down[:count]
        assert part.alarms == complete.alarms[:count]


def test_equal_values_are_no_drift() -> None:
    """A deterministic evaluation has the same score every night; no series name matters."""
    for name in range(100):
        assert not any(find_drift([0.5] * 365, str(name)).alarms), name


def test_a_tie_has_its_mid_rank() -> None:
    """As counted naively: half of the equal values, with the value itself, are below it."""
    values = [3.0, 1.0, 3.0, 2.0, 3.0, 1.0]
    scores = [*rank_scores(values, "x")]
    for number in (2, 4, 5):
        before, value = values[: number + 1], values[number]
        share = (sum(v < value for v in before) + sum(v == value for v in before) / 2) / len(before)
        assert NormalDist().cdf(scores[number]) == pytest.approx(share)


def test_more_series_do_not_end_a_drift() -> None:
    """The threshold of a value is by the series that were followed then."""
    generator = random.Random(1)  # noqa: S311
    values = [generator.gauss(-2.0 * (n >= 60), 1) for n in range(75)]
    alarms = find_drift(values, "x").alarms
    first = next(n for n, alarm in enumerate(alarms) if alarm)
    growing = find_drift(values, "x", [1] * (first + 1) + [10**6] * (74 - first))
    assert growing.alarms == alarms
    assert not any(find_drift(values[: first + 1], "x", [10**6] * (first + 1)).alarms)
