"""Figures made of more than two accuracies, and accuracies against a fixed rate.

A difference between two models' gains, or between the gains at some numops and at others, is a
sum of outcomes with signs. On the same states its clusters are the sequences, as in
:mod:`benchmark.stats.paired`; of counts alone the variance is the binomial one times a design
effect, as in :mod:`benchmark.stats.published`.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import erfc, inf, sqrt

import numpy as np

from benchmark.records import Outcome, Tally
from benchmark.stats.intervals import Interval
from benchmark.stats.paired import bootstrap_interval, sign_flip_test
from benchmark.stats.published import DESIGN_EFFECT

_Z = 1.959963984540054

Signed = tuple[Sequence[Outcome], Mapping[int, int]]
"""Outcomes, and the sign that a right answer counts with, by numops; 0 where it has none."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """A difference of accuracies (0..1) with its two-sided p-value and 95 % interval."""

    difference: float
    two_sided: float
    interval: Interval


def signed_test(parts: Sequence[Signed], rng: np.random.Generator) -> Contrast:
    """The sum of the signed outcomes over the number of queries, tested by sequences.

    Args:
        parts: models' outcomes on the same states, each with its signs.
        rng: for signs of clusters and bootstrap.

    Raises:
        ValueError: when the outcomes are not of the same states, or no query has a sign.
    """
    sums: defaultdict[int, int] = defaultdict(int)
    sizes: defaultdict[int, int] = defaultdict(int)
    first, _ = parts[0]
    signed = {numops for _, signs in parts for numops in signs}
    for state in first:
        sizes[state.sample_id] += sum(numops in signed for numops in state.numops)
    for outcomes, signs in parts:
        for state, outcome in zip(first, outcomes, strict=True):
            if (state.sample_id, state.numops) != (outcome.sample_id, outcome.numops):
                raise ValueError("the outcomes are not of the same states")
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
    """The sum of the tallies' accuracies times their coefficients, taken as independent."""
    difference = sum(coefficient * tally.accuracy for coefficient, tally in terms)
    variance = design_effect * sum(
        coefficient**2 * tally.accuracy * (1 - tally.accuracy) / tally.total
        for coefficient, tally in terms
    )
    return _normal(difference, sqrt(variance))


def counted_against(
    cells: Sequence[tuple[Tally, float]], design_effect: float = DESIGN_EFFECT
) -> Contrast:
    """Pooled counts against the rates (0..1) that are expected of them, cell by cell."""
    total = sum(tally.total for tally, _ in cells)
    excess = sum(tally.correct - tally.total * rate for tally, rate in cells)
    variance = design_effect * sum(tally.total * rate * (1 - rate) for tally, rate in cells)
    return _normal(excess / total, sqrt(variance) / total)


def clustered_against(outcomes: Sequence[Outcome], rates: Mapping[int, float]) -> Contrast:
    """Outcomes against the rate (0..1) expected at each numops; a sequence is one cluster.

    Queries whose numops has no rate do not count. The variance is that under the null
    hypothesis, where each cluster's excess has mean 0, so it is seen even where all agree.

    Raises:
        ValueError: when no query has a rate.
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
    return _normal(sum(values) / total, sqrt(sum(value**2 for value in values)) / total)


def _normal(difference: float, error: float) -> Contrast:
    score = abs(difference) / error if error else inf * (difference != 0)
    margin = _Z * error
    p_value = 1.0 if difference == 0 else erfc(score / sqrt(2))
    return Contrast(difference, p_value, Interval(difference - margin, difference + margin))
