"""Paired comparison: compared with naive versions, and by simulation."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.records import Outcome
from benchmark.stats.paired import FEWEST, bootstrap_interval, paired_test, sign_flip_test

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
    assert test.interval == (0, 0)


@pytest.mark.parametrize("clusters", [1, 2, FEWEST - 1, FEWEST, 30])
def test_an_interval_wants_clusters_that_vary(clusters: int) -> None:
    """Few clusters, or clusters that all differ alike, tell no interval; others tell the drawn."""
    wrong = _outcomes([(c, (False, False)) for c in range(clusters)])
    right = _outcomes([(c, (True, True)) for c in range(clusters)])
    mixed = _outcomes([(c, (True, c % 2 == 0)) for c in range(clusters)])
    alike = paired_test(wrong, right, np.random.default_rng(0))
    assert (alike.difference, alike.telling_interval) == (1, None)
    varied = paired_test(wrong, mixed, np.random.default_rng(0))
    assert varied.telling_interval == (varied.interval if clusters >= FEWEST else None)


def test_fewest_clusters_can_be_significant() -> None:
    """With that many clusters the exact sign test can come below 5 %, with one less it cannot."""
    assert 2 / 2**FEWEST < 0.05 < 2 / 2 ** (FEWEST - 1)


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
    """On 716 states, 5 points are nearly always test, 2 points in about half of the samples."""
    assert 0.4 <= _rejected(0.02) <= 0.9
    assert _rejected(0.05) >= 0.99


def test_coverage_of_the_bootstrap_interval() -> None:
    """The 95 % interval covers the true difference in 92 to 98 % of 300 samples with clusters."""
    rng = np.random.default_rng(7)
    covered = 0
    for _ in range(300):
        differences, sizes = _simulate(rng, 0.0)
        low, high = bootstrap_interval(differences, sizes, rng, 400)
        covered += low <= 0 <= high
    assert 0.92 <= covered / 300 <= 0.98
