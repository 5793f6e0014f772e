"""Standard error and interval of a difference, with sequences as clusters.

The interval is the difference plus or minus a quantile of Student's t distribution times a
cluster-robust standard error. Its coverage is in ``docs/statistics.md``, next to that of the
percentile bootstrap, which is too narrow with few clusters.
"""

from collections import Counter
from dataclasses import dataclass, replace
from fractions import Fraction
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from benchmark.stats import decision
from benchmark.stats.constants import (
    FEW_CLUSTERS,
    MIN_CLUSTERS_FOR_INTERVAL,
    MIN_CLUSTERS_TO_BE_SURE,
    POWER,
)
from benchmark.stats.decision import Decision, Effect
from benchmark.stats.intervals import Interval, student_quantile, student_upper_tail

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ClusteredDifference:
    """A difference per query over clusters, with its standard error.

    Attributes:
        value: the difference.
        clusters: number of clusters.
        error: standard error; None if all clusters differ alike, since nothing then shows how much
            they vary.
        largest: largest possible absolute difference.
        deviating: number of clusters that deviate from the most common difference per query.
        spread: standard error without pseudo-clusters; 0 if all clusters differ alike.
        step: variance per changed query, in queries: how many change together, at least one; as a
            share of all queries.
        bound_error: standard error of :meth:`bounds`; at least ``error``.
    """

    value: float
    clusters: int
    error: float | None
    largest: float = 1.0
    deviating: int = 0
    spread: float = 0.0
    step: float = 1.0
    bound_error: float = 0.0

    @property
    def interval(self) -> Interval | None:
        """Return the 95 % interval, or None for the reason in :attr:`no_interval`."""
        return None if self.no_interval else self.unchecked_interval

    @property
    def unchecked_interval(self) -> Interval | None:
        """Return the interval also for too few clusters; None without a standard error."""
        if self.error is None:
            return None
        margin = student_quantile(self.clusters - 1, 0.975) * self.error
        return Interval(
            max(-self.largest, self.value - margin), min(self.largest, self.value + margin)
        )

    @property
    def no_interval(self) -> str:
        """Return why there is no interval; empty if there is one."""
        if self.clusters < MIN_CLUSTERS_FOR_INTERVAL:
            return too_few(self.clusters, MIN_CLUSTERS_FOR_INTERVAL)
        return "all sequences differ alike" if self.error is None else ""

    def detectable(self, level: float) -> float | None:
        """Return the smallest difference that the sign-flip test would find with a power of 80 %.

        The effect is made of further changes in one direction, :attr:`step` at a time, on top of
        changes like those observed. They add to the mean and to the variance alike, so that the
        effect solves ``x = k * sqrt(noise + step * x)``, with ``k`` the sum of the quantiles of
        level and power. The noise is that observed and one change more, because a sample is
        likely to miss rare changes. The difference itself does not count as noise.

        Args:
            level: one-sided level of the test; half the level of a two-sided test.

        Returns:
            A positive difference; None for the reason in :meth:`no_detectable`.
        """
        return None if self.clusters < MIN_CLUSTERS_FOR_INTERVAL else self._solved(level)

    def no_detectable(self, level: float) -> str:
        """Return why no difference is known to be detectable at a level; empty if one is."""
        if self.clusters < MIN_CLUSTERS_FOR_INTERVAL:
            return f"unknown, {too_few(self.clusters, MIN_CLUSTERS_FOR_INTERVAL)}"
        return "" if self._solved(level) else "none, not even the largest"

    def effect(self, level: float) -> Effect:
        """Return the difference with its 95 % interval, and what a test at a level would find.

        ``level`` is one-sided, as in :meth:`detectable`.
        """
        return Effect(
            self.value,
            self.interval,
            self.no_interval,
            self.detectable(level),
            self.no_detectable(level),
        )

    def equivalence(self, margin: float, level: float) -> Decision:
        """Decide whether the difference is within a margin, by two one-sided tests at a level."""
        p = max(self.p_above(-margin), self.p_below(margin))
        return decision.equivalence(self._bounded(level), p, margin, level, self._doubt)

    def non_inferiority(self, margin: float, level: float) -> Decision:
        """Decide whether the difference is above minus a margin, by a one-sided test at a level."""
        p = self.p_above(-margin)
        return decision.non_inferiority(self._bounded(level), p, margin, level, self._doubt)

    def bounds(self, level: float) -> Interval:
        """Return a lower and an upper bound of the difference, each exceeded with ``level``.

        If all clusters differ alike, no more than a share of them can differ otherwise: that with
        which none of the sample would with probability ``level``. If few deviate, the next one may
        be of any size: a pseudo-cluster deviates at their rate, but is of root mean square size.

        A true difference at the bound would be made of changed queries, :attr:`step` at a time,
        which add to the variance. So the reach solves ``x = t * sqrt(error**2 + step * x)``, as for
        a score interval: a sample that happens to lack rare losses also underestimates its error.
        """
        if self.error is None:
            reach = self.largest * (1 - level ** (1 / self.clusters))
        else:
            factor = student_quantile(self.clusters - 1, 1 - level)
            half = factor**2 * self.step / 2
            reach = half + sqrt(half**2 + (factor * self.bound_error) ** 2)
        low, high = self.value - reach, self.value + reach
        return Interval(max(-self.largest, low), min(self.largest, high))

    def p_above(self, bound: float) -> float:
        """Return the one-sided p-value of "the difference is above a bound".

        It is below a level if and only if the lower end of :meth:`bounds` is above the bound.
        """
        return self._tail(self.value - bound)

    def p_below(self, bound: float) -> float:
        """Return the one-sided p-value of "the difference is below a bound"."""
        return self._tail(bound - self.value)

    def _tail(self, distance: float) -> float:
        if self.error is not None:
            error = sqrt(self.bound_error**2 + self.step * max(0.0, distance))
            return student_upper_tail(self.clusters - 1, distance / error)
        return (1 - min(1.0, max(0.0, distance / self.largest))) ** self.clusters

    def _bounded(self, level: float) -> Effect:
        """Return the difference with its interval of coverage 1 - 2 * ``level``."""
        return replace(self.effect(level), interval=self.bounds(level), no_interval="")

    @property
    def _doubt(self) -> str:
        few = self.clusters < MIN_CLUSTERS_TO_BE_SURE
        return too_few(self.clusters, MIN_CLUSTERS_TO_BE_SURE) if few else ""

    def _solved(self, level: float) -> float | None:
        """Return the solution of the equation in :meth:`detectable`; None if it is impossible."""
        degrees = self.clusters - 1
        factor = student_quantile(degrees, 1 - level) + student_quantile(degrees, POWER)
        half = factor**2 * self.step / 2
        effect = half + sqrt(half**2 + factor**2 * (self.spread**2 + self.step**2))
        return effect if effect <= self.largest else None


def too_few(clusters: int, needed: int) -> str:
    """Return the reason why a number of clusters does not suffice."""
    sequences = "sequence" if clusters == 1 else "sequences"
    return f"{clusters} {sequences}, at least {needed} needed"


def clustered_difference(
    differences: Integers, sizes: Integers, largest: float = 1.0, changed: int | None = None
) -> ClusteredDifference:
    """Return the ratio of sums with its cluster-robust standard error.

    Two pseudo-clusters, a gain and a loss of the same size, are added to the variance. Their size
    is one query. If fewer than :data:`FEW_CLUSTERS` clusters deviate from the most common
    difference per query, it is the root mean square of what these deviate by: rare changes are
    likely to be missed by a small sample. Compare Agresti and Min (2005) for matched pairs.

    Args:
        differences: shape (clusters,), for example gained minus lost queries.
        sizes: shape (clusters,), number of queries.
        largest: largest possible absolute difference of a query.
        changed: number of changed queries, gained or lost; by default as many as the differences
            show.
    """
    count, total = len(sizes), int(sizes.sum())
    value = float(differences.sum() / total)
    deviations = _deviations(differences, sizes)
    if not deviations:
        return ClusteredDifference(value, count, None, largest, step=1 / total)
    pseudo = bound_pseudo = 1.0
    if len(deviations) < FEW_CLUSTERS:
        pseudo = max(1.0, sum(d**2 for d, _ in deviations) / len(deviations))
        rate = sum((d / size) ** 2 for d, size in deviations) / len(deviations)
        bound_pseudo = max(pseudo, rate * float((sizes**2).mean()))
    squares = float(((differences - sizes * value) ** 2).sum()) * count / (count - 1)
    return ClusteredDifference(
        value,
        count,
        sqrt(squares + 2 * pseudo) / total,
        largest,
        len(deviations),
        spread=sqrt(squares) / total,
        step=max(1.0, squares / (changed or int(abs(differences).sum()))) / total,
        bound_error=sqrt(squares + 2 * bound_pseudo) / total,
    )


def _deviations(differences: Integers, sizes: Integers) -> list[tuple[float, int]]:
    """Return how far clusters are from the most common difference per query, where they are.

    The size of the cluster comes with it.
    """
    pairs = list(zip(differences.tolist(), sizes.tolist(), strict=True))
    rates = Counter(Fraction(difference, size) for difference, size in pairs)
    common, _ = rates.most_common(1)[0]
    deviations = ((float(difference - common * size), size) for difference, size in pairs)
    return [(deviation, size) for deviation, size in deviations if deviation]
