"""Paired comparison: compared with naive versions, and by simulation."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.records import Outcome
from benchmark.stats.constants import (
    LEVEL,
    MIN_CLUSTERS_FOR_INTERVAL,
    MIN_CLUSTERS_TO_REJECT,
    fresh_rng,
)
from benchmark.stats.paired import paired_test, sign_flip_test

SEQUENCES = 500
SIZES = (7, 14, 7, 7, 14)
"""Queries per sequence: 716 states of 500 sequences have about 3,700 non-trivial queries."""


def _outcomes(rows: list[tuple[int, tuple[bool, ...]]], numops: int = 1) -> list[Outcome]:
    return [Outcome(cluster, (numops,) * len(row), row) for cluster, row in rows]


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=10))
def test_p_values_match_the_enumeration_of_signs(differences: list[int]) -> None:
    """The sampled p-values match the enumeration of all signs, up to sampling error."""
    observed = sum(differences)
    sums = [
        sum(sign * d for sign, d in zip(signs, differences, strict=True))
        for signs in product((1, -1), repeat=len(differences))
    ]
    exact_greater = np.mean([total >= observed for total in sums])
    exact_two_sided = np.mean([abs(total) >= abs(observed) for total in sums])
    test = sign_flip_test(np.array(differences), np.random.default_rng(0), 4000)
    assert test == pytest.approx((exact_greater, exact_two_sided), abs=0.04)


def test_gained_and_lost_queries_are_counted() -> None:
    """Gained and lost queries are counted over the numops that count."""
    base = [Outcome(1, (0, 1, 2), (True, False, True)), Outcome(2, (1, 1, 1), (True, True, False))]
    variant = [
        Outcome(1, (0, 1, 2), (False, True, True)),
        Outcome(2, (1, 1, 1), (True, False, True)),
    ]
    test = paired_test(base, variant, np.random.default_rng(0))
    assert (test.gained, test.lost, test.queries, test.clusters) == (2, 1, 5, 2)
    assert test.difference == pytest.approx(1 / 5)
    every = paired_test(base, variant, np.random.default_rng(0), lambda _: True)
    assert (every.gained, every.lost, every.queries) == (2, 2, 6)


def test_a_model_does_not_differ_from_itself() -> None:
    """Equal outcomes have no difference and p-values of 1."""
    same = _outcomes([(1, (True, False)), (2, (False, False))])
    test = paired_test(same, same, np.random.default_rng(0))
    assert (test.difference, test.greater, test.two_sided) == (0, 1, 1)
    assert test.interval is None


@pytest.mark.parametrize("clusters", [1, 2, 11, 12, 30])
def test_an_interval_requires_clusters_that_vary(clusters: int) -> None:
    """Fewer than 12 clusters, or clusters that all differ alike, have no interval but a reason."""
    wrong = _outcomes([(c, (False, False)) for c in range(clusters)])
    right = _outcomes([(c, (True, True)) for c in range(clusters)])
    mixed = _outcomes([(c, (True, c % 2 == 0)) for c in range(clusters)])
    alike = paired_test(wrong, right, np.random.default_rng(0))
    assert (alike.difference, alike.interval) == (1, None)
    varied = paired_test(wrong, mixed, np.random.default_rng(0))
    plural = "s" * (clusters > 1)
    if clusters < MIN_CLUSTERS_FOR_INTERVAL:
        assert (varied.interval, varied.no_interval) == (None, alike.no_interval)
        assert alike.no_interval == f"{clusters} sequence{plural}, at least 12 needed"
    else:
        assert alike.no_interval == "all sequences differ alike"
        assert varied.interval
        assert varied.interval.low < varied.difference < varied.interval.high
        assert not varied.no_interval


def test_five_clusters_can_reject() -> None:
    """With 5 clusters the exact one-sided sign test can reject at 5 %, with 4 it cannot."""
    for clusters, rejects in ((MIN_CLUSTERS_TO_REJECT, True), (MIN_CLUSTERS_TO_REJECT - 1, False)):
        wrong = _outcomes([(c, (False,)) for c in range(clusters)])
        right = _outcomes([(c, (True,)) for c in range(clusters)])
        assert (paired_test(wrong, right, fresh_rng()).greater < LEVEL) is rejects


def test_swapped_models_swap_the_result() -> None:
    """Swapping base and variant changes every sign but not the two-sided p-value."""
    rng = np.random.default_rng(1)
    one, other = (
        _outcomes([(c, tuple(map(bool, rng.integers(0, 2, 7)))) for c in range(30)]) for _ in "ab"
    )
    there = paired_test(one, other, np.random.default_rng(2))
    back = paired_test(other, one, np.random.default_rng(2))
    assert there.difference == -back.difference
    assert (there.gained, there.lost) == (back.lost, back.gained)
    assert there.two_sided == pytest.approx(back.two_sided, abs=0.02)


def test_different_states_are_refused() -> None:
    """Outcomes of different states are an error."""
    with pytest.raises(ValueError, match="different states"):
        paired_test(_outcomes([(1, (True,))]), _outcomes([(2, (True,))]), np.random.default_rng(0))
    with pytest.raises(ValueError, match="no query"):
        paired_test(
            _outcomes([(1, (True,))], 0), _outcomes([(1, (True,))], 0), np.random.default_rng(0)
        )


def _simulate(
    rng: np.random.Generator, gain: float, concentration: float = 4.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return differences and sizes by cluster for two models near 40 %.

    The variant is better by ``gain``. The difficulty of a cluster is the same for both models.
    """
    sizes = np.resize(SIZES, SEQUENCES)
    rates = rng.beta(concentration * 0.4, concentration * 0.6, size=SEQUENCES)
    base = rng.binomial(sizes, rates)
    variant = rng.binomial(sizes, np.clip(rates + gain, 0, 1))
    return variant - base, sizes


def _rejected(gain: float, repeats: int = 400) -> float:
    """Return how often the one-sided test at 5 % finds the variant better."""
    rng = np.random.default_rng(20240513)
    p_values = [sign_flip_test(_simulate(rng, gain)[0], rng, 399)[0] for _ in range(repeats)]
    return float(np.mean(np.array(p_values) <= 0.05))


def test_level_under_the_null_with_clusters() -> None:
    """Without a difference, at most 5 % are rejected, plus three standard errors."""
    assert _rejected(0.0) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


def test_power_for_two_and_five_points() -> None:
    """On 716 states, 5 points are nearly always detected, 2 points in about half of the samples."""
    assert 0.4 <= _rejected(0.02, 200) <= 0.9
    assert _rejected(0.05, 200) >= 0.99
