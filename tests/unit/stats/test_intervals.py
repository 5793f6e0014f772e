"""Intervals: known values, coverage under clustering, and degenerate cases."""

import numpy as np
import pytest
from scipy.stats import binomtest
from scipy.stats import t as student

from benchmark.records import Tally
from benchmark.stats.intervals import clustered_interval, normal_interval


def _queries(successes: list[int], size: int) -> list[tuple[int, bool]]:
    return [(c, i < k) for c, k in enumerate(successes) for i in range(size)]


def test_normal_interval_is_the_one_of_the_paper() -> None:
    """Llama 2 70B at numops 1 has 1014 of 1410, with an error of 2.35 points."""
    low, high = normal_interval(Tally(1014, 1410))
    assert (100 * low, 100 * high) == pytest.approx((69.57, 74.26), abs=0.005)


def test_independent_queries_have_the_wilson_interval() -> None:
    """With one query per cluster, the interval is close to SciPy's Wilson interval."""
    low, high = clustered_interval(_queries([1] * 30 + [0] * 70, 1))
    wilson = binomtest(30, 100).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((wilson.low, wilson.high), abs=0.003)


def test_clusters_that_agree_count_once() -> None:
    """Seven queries that always agree count as one."""
    agreeing = clustered_interval(_queries([7] * 30 + [0] * 70, 7))
    single = clustered_interval(_queries([1] * 30 + [0] * 70, 1))
    assert agreeing == pytest.approx(single, abs=1e-9)


def test_design_effect_is_at_least_one() -> None:
    """Clusters more alike than chance do not make the interval narrower than a binomial one."""
    low, high = clustered_interval(_queries([3, 4] * 50, 7))
    wilson = binomtest(350, 700).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((wilson.low, wilson.high), abs=0.001)


@pytest.mark.parametrize("right", [0, 1])
def test_if_all_queries_agree_each_cluster_counts_as_one(right: int) -> None:
    """Without observed variance, the interval is that of one query per cluster."""
    low, high = clustered_interval(_queries([7 * right] * 20, 7))
    wilson = binomtest(20 * right, 20).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((wilson.low, wilson.high))


@pytest.mark.parametrize("rare", [3, 14, 15, 30])
def test_few_clusters_with_the_rarer_outcome_widen_the_interval(rare: int) -> None:
    """A pseudo-cluster of each kind counts if fewer than 15 clusters are not all correct."""
    successes = [5] * rare + [7] * (40 - rare)
    low, high = clustered_interval(_queries(successes, 7))
    n, p = 280, sum(successes) / 280
    robust = sum((k - 7 * p) ** 2 for k in successes) * 40 / 39
    pseudo = 1.0 if rare < 15 else 0.0
    plain = min(n, p * (1 - p) * n**2 / robust)
    robust += pseudo * 49 * (p**2 + (1 - p) ** 2)
    smoothed = (280 * p + pseudo * 7) / (280 + 14 * pseudo)
    size = min(plain, smoothed * (1 - smoothed) * n**2 / robust)
    t = student.ppf(0.975, 39)
    middle = (p + t**2 / (2 * size)) / (1 + t**2 / size)
    margin = t / (1 + t**2 / size) * np.sqrt(p * (1 - p) / size + t**2 / (4 * size**2))
    assert (low, high) == pytest.approx((middle - margin, min(1, middle + margin)))


def test_without_queries_the_interval_is_everything() -> None:
    """Without queries the interval is 0 to 1."""
    assert clustered_interval([]) == (0, 1)
    assert normal_interval(Tally(0, 0)) == (0, 1)


@pytest.mark.parametrize("concentration", [0.5, 5.0])
def test_coverage_under_clustering(concentration: float) -> None:
    """On 1000 simulated samples with clusters, the 95 % interval covers in 93 to 97.5 %.

    The paper's interval covers less than 95 % of the same samples.
    """
    rng = np.random.default_rng(20240513)
    p, clusters, size, repeats = 0.3, 120, 7, 1000
    covered = covered_by_normal = 0
    for _ in range(repeats):
        rates = rng.beta(concentration * p, concentration * (1 - p), size=clusters)
        successes = rng.binomial(size, rates)
        low, high = clustered_interval(_queries(successes.tolist(), size))
        covered += low <= p <= high
        low, high = normal_interval(Tally(int(successes.sum()), clusters * size))
        covered_by_normal += low <= p <= high
    assert 0.93 <= covered / repeats <= 0.975
    assert covered_by_normal < covered - 0.05 * repeats


@pytest.mark.parametrize("clusters", [6, 12])
def test_coverage_with_few_clusters(clusters: int) -> None:
    """With 6 or 12 clusters, the 95 % interval covers in at least 92.5 % of samples."""
    rng = np.random.default_rng(20240514)
    p, size, repeats, concentration = 0.4, 7, 1000, 3.0
    covered = 0
    for _ in range(repeats):
        rates = rng.beta(concentration * p, concentration * (1 - p), size=clusters)
        low, high = clustered_interval(_queries(rng.binomial(size, rates).tolist(), size))
        covered += low <= p <= high
    assert covered / repeats >= 0.925


def test_one_cluster_counts_as_one_query() -> None:
    """A single cluster has a very wide interval."""
    low, high = clustered_interval(_queries([3], 7))
    assert high - low > 0.75
