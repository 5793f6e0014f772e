"""Standard error and interval of a difference, with sequences as clusters.

The interval is the difference plus or minus a quantile of Student's t distribution times a
cluster-robust standard error. Its coverage is in ``docs/statistics.md``, next to that of the
percentile bootstrap, which is too narrow with few clusters.
"""

from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from benchmark.stats.constants import FEW_CLUSTERS, MIN_CLUSTERS_FOR_INTERVAL, POWER
from benchmark.stats.intervals import Interval, student_quantile

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
    """

    value: float
    clusters: int
    error: float | None
    largest: float = 1.0
    deviating: int = 0

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
        """Return the smallest difference that a test would find with a power of 80 %.

        Args:
            level: one-sided level of the test.

        Returns:
            A positive difference; None if there is no standard error.
        """
        if self.error is None:
            return None
        degrees = self.clusters - 1
        return self.error * (
            student_quantile(degrees, 1 - level) + student_quantile(degrees, POWER)
        )


def too_few(clusters: int, needed: int) -> str:
    """Return the reason why a number of clusters does not suffice."""
    sequences = "sequence" if clusters == 1 else "sequences"
    return f"{clusters} {sequences}, at least {needed} needed"


def clustered_difference(
    differences: Integers, sizes: Integers, largest: float = 1.0
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
    """
    count, total = len(sizes), int(sizes.sum())
    value = float(differences.sum() / total)
    deviations = _deviations(differences, sizes)
    if not deviations:
        return ClusteredDifference(value, count, None, largest)
    pseudo = 1.0
    if len(deviations) < FEW_CLUSTERS:
        pseudo = max(1.0, sum(deviation**2 for deviation in deviations) / len(deviations))
    squares = float(((differences - sizes * value) ** 2).sum()) * count / (count - 1)
    return ClusteredDifference(
        value, count, sqrt(squares + 2 * pseudo) / total, largest, len(deviations)
    )


def _deviations(differences: Integers, sizes: Integers) -> list[float]:
    """Return how far clusters are from the most common difference per query, where they are."""
    pairs = list(zip(differences.tolist(), sizes.tolist(), strict=True))
    rates = Counter(Fraction(difference, size) for difference, size in pairs)
    common, _ = rates.most_common(1)[0]
    deviations = (float(difference - common * size) for difference, size in pairs)
    return [deviation for deviation in deviations if deviation]
