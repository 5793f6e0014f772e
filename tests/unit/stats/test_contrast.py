"""Contrasts and tests against a rate, compared with naive versions and by simulation."""

from itertools import product
from math import sqrt
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.records import Outcome, Tally
from benchmark.stats.contrast import (
    clustered_against,
    counted_against,
    counted_contrast,
    signed_test,
)
from benchmark.stats.paired import paired_test

NUMOPS = (0, 0, 1, 1, 2, 3, 1)


def _model(rng: np.random.Generator, rate: float, sequences: int = 40) -> list[Outcome]:
    """Return outcomes with two states per sequence whose answers are correlated."""
    luck = rng.normal(0, 0.15, sequences)
    return [
        Outcome(n // 2, NUMOPS, tuple(bool(x) for x in rng.random(7) < rate + luck[n // 2]))
        for n in range(2 * sequences)
    ]


def _rng() -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(7))


@pytest.mark.parametrize("rate", [0.3, 0.34, 0.6])
def test_plain_difference_is_the_paired_test(rate: float) -> None:
    """With plus for the variant and minus for the base, the contrast is the paired test."""
    rng = np.random.default_rng(1)
    base, variant = _model(rng, 0.3), _model(rng, rate)
    plain = paired_test(base, variant, _rng())
    signs = dict.fromkeys(range(1, 9), 1)
    contrast = signed_test([(variant, signs), (base, dict.fromkeys(signs, -1))], _rng())
    assert (contrast.difference, contrast.two_sided) == (plain.difference, plain.two_sided)
    assert contrast.interval == plain.interval


def test_p_value_by_enumeration() -> None:
    """With few clusters, the p-value is close to that of all signs, enumerated."""
    rng = np.random.default_rng(5)
    first, second = _model(rng, 0.7, 9), _model(rng, 0.3, 9)
    inside, outside = {0: 1, 1: 1}, {2: -1, 3: -1}
    parts = [
        (first, {**inside, **outside}),
        (second, {n: -s for n, s in (inside | outside).items()}),
    ]
    sums = [0] * 9
    for one, other in zip(first, second, strict=True):
        for numops, a, b in zip(NUMOPS, one.correct, other.correct, strict=True):
            sums[one.sample_id] += (a - b) * (1 if numops <= 1 else -1)
    every = [
        abs(sum(s * x for s, x in zip(signs, sums, strict=True)))
        for signs in product((1, -1), repeat=9)
    ]
    exact = sum(value >= abs(sum(sums)) for value in every) / len(every)
    contrast = signed_test(parts, _rng())
    assert contrast.difference == pytest.approx(sum(sums) / (18 * 7))
    assert contrast.two_sided == pytest.approx(exact, abs=0.02)


def test_different_states_are_refused() -> None:
    """Outcomes of different states, and signs or rates that match no query, are errors."""
    one = [Outcome(1, (0,), (True,))]
    with pytest.raises(ValueError, match="different states"):
        signed_test([(one, {0: 1}), ([Outcome(2, (0,), (True,))], {0: -1})], _rng())
    with pytest.raises(ValueError, match="no query has a sign"):
        signed_test([(one, {5: 1})], _rng())
    with pytest.raises(ValueError, match="no query has a rate"):
        clustered_against(one, {5: 0.5})


TALLIES = st.integers(1, 300).flatmap(
    lambda total: st.integers(0, total).map(lambda correct: Tally(correct, total))
)


@given(
    st.lists(st.tuples(st.sampled_from([-1.0, -0.25, 0.5, 1.0]), TALLIES), min_size=1, max_size=5)
)
def test_counted_contrast_matches_the_textbook(terms: list[tuple[float, Tally]]) -> None:
    """The variance is the textbook one times the design effect."""
    contrast = counted_contrast(terms, design_effect=3.0)
    difference = sum(c * t.correct / t.total for c, t in terms)
    variance = sum(3 * c * c * t.correct * (t.total - t.correct) / t.total**3 for c, t in terms)
    assert contrast.difference == pytest.approx(difference)
    assert contrast.interval.high - contrast.difference == pytest.approx(
        1.959964 * sqrt(variance), rel=1e-6
    )
    if variance and difference:
        tail = NormalDist().cdf(-abs(difference) / sqrt(variance))
        assert contrast.two_sided == pytest.approx(2 * tail, abs=1e-9)


@given(st.lists(st.tuples(TALLIES, st.floats(0.01, 0.99)), min_size=1, max_size=5))
def test_counts_against_rates_match_the_textbook(cells: list[tuple[Tally, float]]) -> None:
    """The score is observed minus expected over the standard deviation of independent draws."""
    contrast = counted_against(cells, design_effect=1.0)
    observed = sum(t.correct for t, _ in cells)
    expected = sum(t.total * rate for t, rate in cells)
    spread = sqrt(sum(t.total * rate * (1 - rate) for t, rate in cells))
    total = sum(t.total for t, _ in cells)
    assert contrast.difference == pytest.approx((observed - expected) / total)
    tail = NormalDist().cdf(-abs(observed - expected) / spread)
    assert contrast.two_sided == pytest.approx(2 * tail, abs=1e-9)


def test_outcomes_against_rates_by_hand() -> None:
    """Each sequence has one excess; queries without a rate do not count."""
    outcomes = [
        Outcome(1, (0, 1, 5), (True, False, True)),
        Outcome(1, (1, 1, 5), (True, True, False)),
        Outcome(2, (0, 0, 1), (False, False, False)),
    ]
    contrast = clustered_against(outcomes, {0: 0.5, 1: 0.25})
    excesses = [0.5 - 0.25 + 0.75 + 0.75, -0.5 - 0.5 - 0.25]
    error = sqrt(sum(x * x for x in excesses)) / 7
    assert contrast.difference == pytest.approx(sum(excesses) / 7)
    assert contrast.two_sided == pytest.approx(
        2 * NormalDist().cdf(-abs(contrast.difference) / error)
    )


@pytest.mark.parametrize("correct", [True, False])
def test_agreement_in_few_clusters_is_not_significant(correct: bool) -> None:  # noqa: FBT001
    """Three sequences that are all correct or all wrong are not significant."""
    outcomes = [Outcome(n, (1,) * 7, (correct,) * 7) for n in range(3)]
    assert clustered_against(outcomes, {1: 0.5}).two_sided > 0.05


def test_levels_under_the_null() -> None:
    """With clusters, both tests reject a true null hypothesis in about 5 % of samples."""
    rng = np.random.default_rng(20240531)
    samples, found_against, found_signed = 400, 0, 0
    plus, minus = dict.fromkeys(range(9), 1), dict.fromkeys(range(9), -1)
    for _ in range(samples):
        four = [_model(rng, 0.4) for _ in range(4)]
        found_against += clustered_against(four[0], dict.fromkeys(range(9), 0.4)).two_sided < 0.05
        parts = list(zip(four, (plus, minus, minus, plus), strict=True))
        found_signed += signed_test(parts, rng).two_sided < 0.05
    # Sampling error of 5 % in 400 samples is 1.1 %.
    assert found_against / samples <= 0.05 + 3 * 0.011
    assert 0.05 - 3 * 0.011 <= found_signed / samples <= 0.05 + 3 * 0.011
