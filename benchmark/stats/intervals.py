"""Intervals for an accuracy: the paper's, and one that accounts for clustering.

The seven queries of a state share a description and an answer, and the states of a sequence
share operations. The paper's interval treats queries as independent.
"""

from collections import defaultdict
from collections.abc import Iterable
from math import sqrt
from typing import NamedTuple

from benchmark.records import Tally
from benchmark.stats.constants import NORMAL_975


class Interval(NamedTuple):
    """A 95 % interval of an accuracy (0..1) or of a difference of accuracies (-1..1)."""

    low: float
    high: float


def normal_interval(tally: Tally) -> Interval:
    """Return the paper's error bars: normal approximation, queries taken as independent."""
    if not tally.total:
        return Interval(0.0, 1.0)
    p = tally.accuracy
    margin = NORMAL_975 * sqrt(p * (1 - p) / tally.total)
    return Interval(max(0.0, p - margin), min(1.0, p + margin))


def clustered_interval(queries: Iterable[tuple[int, bool]]) -> Interval:
    """Return Wilson's interval at the effective sample size under clustering.

    The design effect is the ratio of the cluster-robust variance of the accuracy (linearized
    ratio estimator) to the binomial variance, and at least 1. A variance estimated from few
    clusters is itself uncertain, so the quantile is Student's t with one degree of freedom less
    than there are clusters. If all queries agree, the variance cannot be estimated and each
    cluster counts as one query.

    Args:
        queries: the cluster (``sample_id``) of each query, and whether it is correct.
    """
    clusters: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0])
    for cluster, right in queries:
        clusters[cluster][0] += right
        clusters[cluster][1] += 1
    correct = sum(k for k, _ in clusters.values())
    total = sum(n for _, n in clusters.values())
    if not total:
        return Interval(0.0, 1.0)
    p = correct / total
    variance = _variance(list(clusters.values()), p, total)
    if not variance:
        return _wilson(p, float(len(clusters)), NORMAL_975)
    return _wilson(p, min(float(total), p * (1 - p) / variance), student_975(len(clusters) - 1))


def _variance(clusters: list[list[int]], p: float, total: int) -> float:
    """Return the cluster-robust variance of the accuracy; 0 if it cannot be estimated."""
    count = len(clusters)
    if count == 1:
        return 0.0
    squares = sum((k - n * p) ** 2 for k, n in clusters)
    return squares * count / (count - 1) / total**2


def student_975(degrees_of_freedom: int) -> float:
    """Return the 97.5 % quantile of Student's t distribution."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees_of_freedom, 0.975))


def _wilson(p: float, size: float, z: float) -> Interval:
    center = (p + z**2 / (2 * size)) / (1 + z**2 / size)
    margin = z / (1 + z**2 / size) * sqrt(p * (1 - p) / size + z**2 / (4 * size**2))
    return Interval(max(0.0, center - margin), min(1.0, center + margin))
