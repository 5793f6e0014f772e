"""Standard error and interval of a clustered difference, compared with naive versions."""

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

from benchmark.stats.differences import clustered_difference

CLUSTERS = st.lists(
    st.integers(1, 14).flatmap(lambda n: st.tuples(st.integers(-n, n), st.just(n))),
    min_size=2,
    max_size=40,
)


def _naive_error(clusters: list[tuple[int, int]]) -> float | None:
    """Return the standard error, written out from the docstring; None if all differ alike."""
    total, count = sum(n for _, n in clusters), len(clusters)
    value = sum(d for d, _ in clusters) / total
    rates = [round(d / n, 12) for d, n in clusters]
    common = max(dict.fromkeys(rates), key=rates.count)
    deviations = [
        d - common * n for (d, n), rate in zip(clusters, rates, strict=True) if rate != common
    ]
    if not deviations:
        return None
    pseudo = 1.0
    if len(deviations) < 15:
        pseudo = max(1.0, float(np.mean(np.square(deviations))))
    squares = sum((d - value * n) ** 2 for d, n in clusters) * count / (count - 1)
    return sqrt(squares + 2 * pseudo) / total


@given(CLUSTERS)
def test_error_and_interval_match_a_naive_version(clusters: list[tuple[int, int]]) -> None:
    """The interval is Student's around the difference, within -1..1, and never of zero width."""
    differences, sizes = (np.array(column) for column in zip(*clusters, strict=True))
    result = clustered_difference(differences, sizes)
    error = _naive_error(clusters)
    assert result.error == (error if error is None else pytest.approx(error))
    if error is None or len(clusters) < 12:
        assert result.interval is None
        assert result.no_interval
        return
    assert result.interval
    margin = student.ppf(0.975, len(clusters) - 1) * error
    ends = (max(-1, result.value - margin), min(1, result.value + margin))
    assert result.interval == pytest.approx(ends)
    assert result.interval.low < result.interval.high


def test_the_detectable_difference_is_found_with_the_stated_power() -> None:
    """At the smallest detectable difference, the one-sided t-test rejects in 80 % of samples."""
    rng = np.random.default_rng(11)
    sizes = np.full(40, 7)
    pilot = clustered_difference(rng.integers(-3, 4, 40), sizes)
    assert pilot.error
    smallest = pilot.detectable(0.05)
    assert smallest
    scores = rng.normal(smallest, pilot.error, 20_000) / pilot.error
    spread = np.sqrt(rng.chisquare(39, 20_000) / 39)
    rejected = np.mean(scores / spread > student.ppf(0.95, 39))
    assert rejected == pytest.approx(0.8, abs=0.02)


def test_without_variation_nothing_is_detectable() -> None:
    """If all sequences differ alike there is neither an error nor a detectable difference."""
    same = clustered_difference(np.zeros(30, dtype=np.int64), np.full(30, 7))
    assert (same.error, same.interval, same.detectable(0.05)) == (None, None, None)
    assert same.no_interval == "all sequences differ alike"
