"""Intervals for an accuracy: the paper's, and one that accounts for clustering.

The seven queries of a state share a description and an answer, and the states of a sequence
share operations. The paper's interval treats queries as independent.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from math import sqrt
from typing import NamedTuple

from benchmark.records import Tally
from benchmark.stats.constants import FEW_CLUSTERS, NORMAL_975


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


class ClusterCount(NamedTuple):
    """Correct answers and queries of one cluster."""

    correct: int
    total: int


def clustered_interval(queries: Iterable[tuple[int, bool]]) -> Interval:
    """Return Wilson's interval at the effective sample size under clustering.

    A variance estimated from few clusters is itself uncertain, so the quantile is Student's t with
    one degree of freedom less than there are clusters. If all queries agree, each cluster counts
    as one query. If fewer than :data:`FEW_CLUSTERS` clusters have any of the rarer outcome, a
    pseudo-cluster with only correct answers and one with only wrong answers are added to the
    variance (:func:`effective_queries`).

    Args:
        queries: the cluster (``sample_id``) of each query, and whether it is correct.
    """
    clusters = count_clusters(queries)
    correct, total = (sum(column) for column in zip(*clusters, strict=True)) if clusters else (0, 0)
    if not total:
        return Interval(0.0, 1.0)
    if correct in {0, total} or len(clusters) == 1:
        return _wilson(correct / total, float(len(clusters)), NORMAL_975)
    deviating = sum(
        cluster.correct > 0 if 2 * correct <= total else cluster.correct < cluster.total
        for cluster in clusters
    )
    size = effective_queries(clusters, 1.0 if deviating < FEW_CLUSTERS else 0.0)
    return _wilson(correct / total, size, student_quantile(len(clusters) - 1, 0.975))


def count_clusters(queries: Iterable[tuple[int, bool]]) -> list[ClusterCount]:
    """Return the counts of each cluster, in order of appearance.

    Args:
        queries: the cluster of each query, and whether it is correct.
    """
    counts: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0])
    for cluster, right in queries:
        counts[cluster][0] += right
        counts[cluster][1] += 1
    return [ClusterCount(correct, total) for correct, total in counts.values()]


def effective_queries(clusters: Sequence[ClusterCount], pseudo: float) -> float:
    """Return the number of independent queries with the same variance of the accuracy.

    The design effect is the ratio of the cluster-robust variance (linearized ratio estimator) to
    the binomial variance, and at least 1. Pseudo-clusters add to the cluster-robust variance; they
    do not change the accuracy. They represent clusters that a small sample is likely to miss, as
    the added successes and failures of Agresti and Coull (1998) do for single queries.

    Args:
        clusters: counts of at least two clusters.
        pseudo: number of pseudo-clusters of mean size with only correct answers, and of
            pseudo-clusters with only wrong answers.

    Returns:
        At most the number of queries, and at most as many as without pseudo-clusters. Without any
        variance, the number of clusters.
    """
    count = len(clusters)
    correct = sum(cluster.correct for cluster in clusters)
    total = sum(cluster.total for cluster in clusters)
    p, mean_size = correct / total, total / count
    squares = sum((k - n * p) ** 2 for k, n in clusters) * count / (count - 1)
    sizes = [float(total)]
    if squares:
        sizes.append(p * (1 - p) * total**2 / squares)
    if pseudo:
        squares += pseudo * mean_size**2 * (p**2 + (1 - p) ** 2)
        smoothed = (correct + pseudo * mean_size) / (total + 2 * pseudo * mean_size)
        sizes.append(smoothed * (1 - smoothed) * total**2 / squares)
    return min(sizes) if squares else float(count)


def student_quantile(degrees_of_freedom: float, probability: float) -> float:
    """Return a quantile of Student's t distribution."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees_of_freedom, probability))


def student_two_sided(degrees_of_freedom: float, score: float) -> float:
    """Return the two-sided p-value of a score under Student's t distribution."""
    from scipy.special import stdtr

    return float(2 * stdtr(degrees_of_freedom, -abs(score)))


def student_upper_tail(degrees_of_freedom: float, score: float) -> float:
    """Return the probability of a score or a higher one under Student's t distribution."""
    from scipy.special import stdtr

    return float(stdtr(degrees_of_freedom, -score))


def _wilson(p: float, size: float, z: float) -> Interval:
    center = (p + z**2 / (2 * size)) / (1 + z**2 / size)
    margin = z / (1 + z**2 / size) * sqrt(p * (1 - p) / size + z**2 / (4 * size**2))
    return Interval(max(0.0, center - margin), min(1.0, center + margin))
