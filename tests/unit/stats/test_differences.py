"""Standard error and interval of a clustered difference, compared with naive versions."""

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import t as student

from benchmark.stats.differences import clustered_difference
from benchmark.stats.paired import sign_flip_test

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


def _naive_bound_error(clusters: list[tuple[int, int]], error: float) -> float:
    """Return the error of bounds: with few deviations, their rate times the mean square size."""
    total = sum(n for _, n in clusters)
    rates = [round(d / n, 12) for d, n in clusters]
    common = max(dict.fromkeys(rates), key=rates.count)
    deviating = [(d, n) for (d, n), rate in zip(clusters, rates, strict=True) if rate != common]
    if len(deviating) >= 15:
        return error
    own = float(np.mean([(d - common * n) ** 2 for d, n in deviating]))
    rate = float(np.mean([(d / n - common) ** 2 for d, n in deviating]))
    more = max(1.0, own, rate * float(np.mean([n**2 for _, n in clusters]))) - max(1.0, own)
    return sqrt(error**2 + 2 * more / total**2)


@given(CLUSTERS)
def test_error_and_interval_match_a_naive_version(clusters: list[tuple[int, int]]) -> None:
    """The interval is Student's around the difference, within -1..1, and never of zero width."""
    differences, sizes = (np.array(column) for column in zip(*clusters, strict=True))
    result = clustered_difference(differences, sizes)
    error = _naive_error(clusters)
    assert result.error == (error if error is None else pytest.approx(error))
    if error is not None:
        assert result.bound_error == pytest.approx(_naive_bound_error(clusters, error))
    if error is None or len(clusters) < 12:
        assert result.interval is None
        assert result.no_interval
        return
    assert result.interval
    margin = student.ppf(0.975, len(clusters) - 1) * error
    ends = (max(-1, result.value - margin), min(1, result.value + margin))
    assert result.interval == pytest.approx(ends)
    assert result.interval.low < result.interval.high


def _naive_detectable(clusters: list[tuple[int, int]], changed: int, level: float) -> float:
    """Search for the effect whose score is the sum of the quantiles, by bisection."""
    total, count = sum(n for _, n in clusters), len(clusters)
    value = sum(d for d, _ in clusters) / total
    rates = [round(d / n, 12) for d, n in clusters]
    squares = sum((d - value * n) ** 2 for d, n in clusters) * count / (count - 1)
    squares = 0.0 if len(set(rates)) == 1 else squares
    step = max(1.0, squares / changed) if squares else 1.0
    noise = squares + step**2
    needed = student.ppf(1 - level, count - 1) + student.ppf(0.8, count - 1)
    low, high = 0.0, 1e6
    for _ in range(100):
        middle = (low + high) / 2
        if middle / sqrt(noise + step * middle) < needed:
            low = middle
        else:
            high = middle
    return low / total


@given(CLUSTERS, st.sampled_from([0.025, 0.05]), st.integers(0, 9))
def test_the_detectable_difference_matches_a_naive_version(
    clusters: list[tuple[int, int]], level: float, more: int
) -> None:
    """It is unknown with fewer than 12 sequences, and if it were above 100 points."""
    differences, sizes = (np.array(column) for column in zip(*clusters, strict=True))
    changed = sum(abs(d) for d, _ in clusters) + 2 * more  # gained and lost in one sequence
    result = clustered_difference(differences, sizes, changed=changed)
    expected = _naive_detectable(clusters, changed, level)
    if len(clusters) < 12 or expected > 1:
        assert result.detectable(level) is None
        assert len(clusters) >= 12 or result.no_detectable(level).endswith("at least 12 needed")
    else:
        assert result.detectable(level) == pytest.approx(expected)


@pytest.mark.parametrize("changed", [0, 20])
def test_the_detectable_difference_is_found_with_the_stated_power(changed: int) -> None:
    """The sign-flip test finds it in about 80 % of samples, also where few sequences change.

    Of 400 sequences some change by a query without a direction; the effect is further gains. The
    standard error with quantiles of Student's t, the older method, found 20 to 60 % of these.
    """
    rng = np.random.default_rng(11)
    sizes = np.full(400, 7)
    found = older = 0
    for _ in range(100):
        pilot = clustered_difference(_noise(rng, changed), sizes)
        smallest = pilot.detectable(0.025)
        assert smallest
        found += _is_found(rng, changed, smallest * sizes.sum())
        margin = student.ppf(0.975, 399) + student.ppf(0.8, 399)
        older += _is_found(rng, changed, margin * (pilot.error or 0) * sizes.sum())
    assert 0.68 <= found / 100 <= 0.95
    assert older / 100 < 0.68


def _noise(rng: np.random.Generator, changed: int) -> NDArray[np.int64]:
    """Return how 400 sequences change, each by a query with probability ``changed`` / 400."""
    return np.where(rng.random(400) < changed / 400, rng.choice([-1, 1], 400), 0)


def _is_found(rng: np.random.Generator, changed: int, gained: float) -> bool:
    """Whether the test finds a number of further gains, which fall on random sequences."""
    gains = np.bincount(rng.integers(0, 400, rng.poisson(gained)), minlength=400)
    return sign_flip_test(_noise(rng, changed) + gains, rng, 199)[1] < 0.05


def test_without_variation_few_gains_are_detectable() -> None:
    """If no outcome changed there is no error, and some nine gains would have been found."""
    same = clustered_difference(np.zeros(400, dtype=np.int64), np.full(400, 7))
    assert (same.error, same.interval) == (None, None)
    assert same.no_interval == "all sequences differ alike"
    assert same.detectable(0.025) == pytest.approx(8.8 / 2800, rel=0.01)
    assert same.no_detectable(0.025) == ""
