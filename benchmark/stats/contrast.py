"""Contrasts of more than two accuracies, and tests of an accuracy against a fixed rate.

A contrast, for example the difference between two models' gains, is a signed sum of outcomes.
With outcomes on the same states, sequences are the clusters, as in :mod:`benchmark.stats.paired`.
With counts alone, the variance is binomial times a design effect, as in
:mod:`benchmark.stats.published`.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import erfc, inf, sqrt

import numpy as np

from benchmark.records import Outcome, Tally
from benchmark.stats.constants import NORMAL_975
from benchmark.stats.intervals import Interval
from benchmark.stats.paired import bootstrap_interval, sign_flip_test
from benchmark.stats.published import DESIGN_EFFECT

SignedOutcomes = tuple[Sequence[Outcome], Mapping[int, int]]
"""Outcomes, and the sign of a correct answer by numops (0 for numops not listed)."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """A difference of accuracies (-1..1) with its two-sided p-value and 95 % interval."""

    difference: float
    two_sided: float
    interval: Interval


def signed_test(terms: Sequence[SignedOutcomes], rng: np.random.Generator) -> Contrast:
    """Test a signed sum of outcomes per query, with sequences as clusters.

    Args:
        terms: outcomes of models on the same states, with their signs.
        rng: generator for the random signs and the bootstrap.

    Raises:
        ValueError: if the outcomes are of different states, or no query has a sign.
    """
    sums: defaultdict[int, int] = defaultdict(int)
    sizes: defaultdict[int, int] = defaultdict(int)
    first, _ = terms[0]
    signed = {numops for _, signs in terms for numops in signs}
    for state in first:
        sizes[state.sample_id] += sum(numops in signed for numops in state.numops)
    for outcomes, signs in terms:
        for state, outcome in zip(first, outcomes, strict=True):
            if (state.sample_id, state.numops) != (outcome.sample_id, outcome.numops):
                raise ValueError("the outcomes are of different states")
            sums[outcome.sample_id] += sum(
                signs.get(numops, 0)
                for numops, right in zip(outcome.numops, outcome.correct, strict=True)
                if right
            )
    clusters = [cluster for cluster, size in sizes.items() if size]
    if not clusters:
        raise ValueError("no query has a sign")
    values, counts = (
        np.array([by_cluster[cluster] for cluster in clusters], dtype=np.int64)
        for by_cluster in (sums, sizes)
    )
    _, two_sided = sign_flip_test(values, rng)
    interval = bootstrap_interval(values, counts, rng)
    return Contrast(float(values.sum() / counts.sum()), two_sided, interval)


def counted_contrast(
    terms: Sequence[tuple[float, Tally]], design_effect: float = DESIGN_EFFECT
) -> Contrast:
    """Test a linear combination of accuracies, with tallies taken as independent.

    Args:
        terms: coefficients and tallies.
        design_effect: factor on the binomial variance.
    """
    difference = sum(coefficient * tally.accuracy for coefficient, tally in terms)
    variance = design_effect * sum(
        coefficient**2 * tally.accuracy * (1 - tally.accuracy) / tally.total
        for coefficient, tally in terms
    )
    return _normal_contrast(difference, sqrt(variance))


def counted_against(
    cells: Sequence[tuple[Tally, float]], design_effect: float = DESIGN_EFFECT
) -> Contrast:
    """Test pooled counts against expected rates (0..1), one rate per tally."""
    total = sum(tally.total for tally, _ in cells)
    excess = sum(tally.correct - tally.total * rate for tally, rate in cells)
    variance = design_effect * sum(tally.total * rate * (1 - rate) for tally, rate in cells)
    return _normal_contrast(excess / total, sqrt(variance) / total)


def clustered_against(outcomes: Sequence[Outcome], rates: Mapping[int, float]) -> Contrast:
    """Test outcomes against the rate (0..1) expected at each numops, with sequences as clusters.

    Queries whose numops has no rate do not count. The variance is the one under the null
    hypothesis, where each cluster's excess has mean 0. It is positive even if all outcomes agree.

    Raises:
        ValueError: if no query has a rate.
    """
    excess: defaultdict[int, float] = defaultdict(float)
    total = 0
    for outcome in outcomes:
        for numops, right in zip(outcome.numops, outcome.correct, strict=True):
            if numops in rates:
                excess[outcome.sample_id] += right - rates[numops]
                total += 1
    if not total:
        raise ValueError("no query has a rate")
    values = list(excess.values())
    return _normal_contrast(sum(values) / total, sqrt(sum(value**2 for value in values)) / total)


def _normal_contrast(difference: float, error: float) -> Contrast:
    score = abs(difference) / error if error else inf * (difference != 0)
    margin = NORMAL_975 * error
    p_value = 1.0 if difference == 0 else erfc(score / sqrt(2))
    return Contrast(difference, p_value, Interval(difference - margin, difference + margin))
