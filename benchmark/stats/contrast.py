"""Contrasts of more than two accuracies, and tests of an accuracy against a fixed rate.

A contrast, for example the difference between two models' gains, is a signed sum of outcomes.
With outcomes on the same states, sequences are the clusters, as in :mod:`benchmark.stats.paired`.
With counts alone, the variance is binomial times a design effect, as in
:mod:`benchmark.stats.published`.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import copysign, erfc, inf, sqrt

import numpy as np

from benchmark.records import Outcome, Tally
from benchmark.stats import decision
from benchmark.stats.constants import LEVEL, MIN_CLUSTERS_TO_BE_SURE, NORMAL_80, NORMAL_975
from benchmark.stats.decision import Decision, Effect
from benchmark.stats.differences import clustered_difference, too_few
from benchmark.stats.intervals import (
    Interval,
    clustered_interval,
    count_clusters,
    effective_queries,
    student_two_sided,
)
from benchmark.stats.paired import sign_flip_test
from benchmark.stats.published import DESIGN_EFFECT

SignedOutcomes = tuple[Sequence[Outcome], Mapping[int, int]]
"""Outcomes, and the sign of a correct answer by numops (0 for numops not listed)."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """A difference of accuracies (-1..1) with its two-sided p-value and 95 % interval.

    Attributes:
        interval: 95 % interval within the possible range; None if there is none.
        no_interval: why there is none.
        clusters: number of clusters; None for counts.
        detectable: smallest difference that the test would find with a power of 80 %; None if
            unknown.
    """

    difference: float
    two_sided: float
    interval: Interval | None
    no_interval: str = ""
    clusters: int | None = None
    detectable: float | None = None

    def differs(self, doubt: str = "") -> Decision:
        """Decide whether the difference is not zero; ``doubt`` is why counts may not decide."""
        if self.clusters is not None and self.clusters < MIN_CLUSTERS_TO_BE_SURE:
            doubt = too_few(self.clusters, MIN_CLUSTERS_TO_BE_SURE)
        no_detectable = "unknown" if self.detectable is None else ""
        effect = Effect(
            self.difference, self.interval, self.no_interval, self.detectable, no_detectable
        )
        return decision.difference(effect, self.two_sided, LEVEL, doubt)


def signed_test(terms: Sequence[SignedOutcomes], rng: np.random.Generator) -> Contrast:
    """Test a signed sum of outcomes per query, with sequences as clusters.

    Args:
        terms: outcomes of models on the same states, with their signs.
        rng: generator for the random signs.

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
    clustered = clustered_difference(values, counts, _largest([signs for _, signs in terms]))
    return Contrast(
        clustered.value,
        two_sided,
        clustered.interval,
        clustered.no_interval,
        clustered.clusters,
        clustered.detectable(LEVEL / 2),
    )


def _largest(signs: Sequence[Mapping[int, int]]) -> float:
    """Return the largest possible absolute sum of the signs of one query."""
    return max(
        abs(
            sum(
                by_numops.get(numops, 0)
                for by_numops in signs
                if by_numops.get(numops, 0) * side > 0
            )
        )
        for numops in {numops for by_numops in signs for numops in by_numops}
        for side in (-1, 1)
    )


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
    lowest, highest = (
        sum(coefficient for coefficient, _ in terms if coefficient * sign > 0) for sign in (-1, 1)
    )
    return _normal_contrast(difference, sqrt(variance), Interval(lowest, highest))


def counted_against(
    cells: Sequence[tuple[Tally, float]], design_effect: float = DESIGN_EFFECT
) -> Contrast:
    """Test pooled counts against expected rates (0..1), one rate per tally."""
    total = sum(tally.total for tally, _ in cells)
    expected = sum(tally.total * rate for tally, rate in cells) / total
    accuracy = sum(tally.correct for tally, _ in cells) / total
    variance = design_effect * sum(tally.total * rate * (1 - rate) for tally, rate in cells)
    possible = Interval(-expected, 1 - expected)
    return _normal_contrast(accuracy - expected, sqrt(variance) / total, possible)


PSEUDO_CLUSTERS = 2.0
"""Pseudo-clusters of each kind in :func:`clustered_against`: "plus four" by whole clusters."""


def clustered_against(outcomes: Sequence[Outcome], rates: Mapping[int, float]) -> Contrast:
    """Test outcomes against the rate (0..1) expected at each numops, with sequences as clusters.

    The score is the difference over the binomial standard error under the null hypothesis at the
    effective number of queries (:func:`effective_queries`). Its reference is Student's t with one
    degree of freedom less than there are clusters, because the effective number is estimated from
    them. The interval is Wilson's for the accuracy, minus the expected rate.

    Queries whose numops has no rate do not count. A single cluster has a p-value of 1.

    Raises:
        ValueError: if no query has a rate.
    """
    queries = [
        (outcome.sample_id, numops, right)
        for outcome in outcomes
        for numops, right in zip(outcome.numops, outcome.correct, strict=True)
        if numops in rates
    ]
    if not queries:
        raise ValueError("no query has a rate")
    answered = [(cluster, right) for cluster, _, right in queries]
    clusters = count_clusters(answered)
    expected = sum(rates[numops] for _, numops, _ in queries) / len(queries)
    variance = sum(rates[n] * (1 - rates[n]) for _, n, _ in queries) / len(queries)
    difference = sum(right for _, right in answered) / len(queries) - expected
    p_value = 1.0
    if len(clusters) > 1:
        error = sqrt(variance / effective_queries(clusters, PSEUDO_CLUSTERS))
        p_value = student_two_sided(len(clusters) - 1, _score(difference, error))
    low, high = (end - expected for end in clustered_interval(answered))
    return Contrast(difference, p_value, Interval(low, high), clusters=len(clusters))


def _normal_contrast(difference: float, error: float, possible: Interval) -> Contrast:
    """Return a contrast with a normal reference, its interval clipped to the possible range.

    Without a standard error, all answers agree and counts show no uncertainty: no interval.
    """
    p_value = erfc(abs(_score(difference, error)) / sqrt(2))
    if not error:
        return Contrast(difference, p_value, None, "all answers agree")
    low, high = (difference + sign * NORMAL_975 * error for sign in (-1, 1))
    interval = Interval(max(possible.low, low), min(possible.high, high))
    detectable = (NORMAL_975 + NORMAL_80) * error
    return Contrast(difference, p_value, interval, detectable=detectable)


def _score(difference: float, error: float) -> float:
    if error:
        return difference / error
    return copysign(inf, difference) if difference else 0.0
