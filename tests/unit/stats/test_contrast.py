"""Contrasts and tests against a rate, compared with naive versions and by simulation."""

from itertools import product
from math import sqrt
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

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
    if variance:
        assert contrast.interval
        margin = 1.959963984540054 * sqrt(variance)
        highest = sum(max(c, 0.0) for c, _ in terms)
        assert contrast.interval.high == pytest.approx(min(highest, difference + margin))
    else:
        assert (contrast.interval, contrast.no_interval) == (None, "all answers agree")
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


def _naive_against(outcomes: list[Outcome], rates: dict[int, float]) -> tuple[float, float]:
    """Return difference and p-value, written out from the formulas of the docstrings."""
    counts: dict[int, list[int]] = {}
    expected, variances = [], []
    for outcome in outcomes:
        for numops, right in zip(outcome.numops, outcome.correct, strict=True):
            if numops in rates:
                counts.setdefault(outcome.sample_id, []).append(int(right))
                expected.append(rates[numops])
                variances.append(rates[numops] * (1 - rates[numops]))
    total, clusters = len(expected), len(counts)
    p = sum(map(sum, counts.values())) / total
    size = total / clusters
    robust = sum((sum(c) - p * len(c)) ** 2 for c in counts.values()) * clusters / (clusters - 1)
    plain = min(total, p * (1 - p) * total**2 / robust)
    robust += 2 * (size * (1 - p)) ** 2 + 2 * (size * p) ** 2  # two right and two wrong clusters
    smoothed = (p * total + 2 * size) / (total + 4 * size)
    effective = min(plain, smoothed * (1 - smoothed) * total**2 / robust)
    difference = p - sum(expected) / total
    score = difference / sqrt(sum(variances) / total / effective)
    return difference, 2 * float(student.sf(abs(score), clusters - 1))


@pytest.mark.parametrize("rate", [0.1, 0.4, 0.97])
def test_outcomes_against_rates_by_hand(rate: float) -> None:
    """The test matches its formulas; queries without a rate do not count."""
    rates = {0: 0.5, 1: 0.25, 3: 0.1}
    outcomes = _model(np.random.default_rng(3), rate, 25)
    contrast = clustered_against(outcomes, rates)
    expected = _naive_against(outcomes, rates)
    assert (contrast.difference, contrast.two_sided) == pytest.approx(expected)
    assert contrast.clusters == 25
    assert not contrast.differs().doubt


def test_the_interval_stays_in_the_possible_range() -> None:
    """Against a rate of 95 %, 20 correct sequences are at most 5 points above it."""
    outcomes = [Outcome(n, (1,) * 7, (True,) * 7) for n in range(20)]
    contrast = clustered_against(outcomes, {1: 0.95})
    assert contrast.interval
    assert contrast.interval.high == pytest.approx(0.05)
    assert contrast.two_sided > 0.05
    counted = counted_against([(Tally(7, 7), 0.95)])
    assert counted.interval
    assert counted.interval.high == pytest.approx(0.05)


@pytest.mark.parametrize("correct", [True, False])
def test_agreement_in_few_clusters_is_not_significant(correct: bool) -> None:  # noqa: FBT001
    """Three sequences that are all correct or all wrong are not significant."""
    outcomes = [Outcome(n, (1,) * 7, (correct,) * 7) for n in range(3)]
    contrast = clustered_against(outcomes, {1: 0.5})
    assert contrast.two_sided > 0.05
    assert contrast.differs().doubt == "3 sequences, at least 20 needed"


def test_five_correct_sequences_do_not_exceed_a_high_rate() -> None:
    """Five sequences, all correct, are no evidence against a rate of 95 %."""
    outcomes = [Outcome(n, (1,) * 7, (True,) * 7) for n in range(5)]
    contrast = clustered_against(outcomes, {1: 0.95})
    assert contrast.two_sided > 0.3
    assert contrast.differs().doubt == "5 sequences, at least 20 needed"


def test_one_sequence_is_never_significant() -> None:
    """A single sequence has no variance between clusters, so its p-value is 1."""
    contrast = clustered_against([Outcome(1, (1,) * 7, (True,) * 7)], {1: 0.01})
    assert contrast.two_sided == 1.0


def test_a_contrast_of_two_gains_can_exceed_one() -> None:
    """The interval of a difference of gains is clipped to -2..2, not to -1..1."""
    right = [Outcome(n, (1,) * 7, (True,) * 7) for n in range(20)]
    wrong = [Outcome(n, (1,) * 7, (False,) * 7) for n in range(20)]
    mixed = [Outcome(n, (1,) * 7, (n > 0,) * 7) for n in range(20)]
    terms = [(right, {1: 1}), (wrong, {1: -1}), (wrong, {1: -1}), (mixed, {1: 1})]
    contrast = signed_test(terms, _rng())
    assert contrast.difference == pytest.approx(1.95)
    assert contrast.interval
    assert 1 < contrast.interval.low < contrast.difference < contrast.interval.high <= 2
