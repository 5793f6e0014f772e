"""The permutation test of distances, compared with SciPy's and under the null hypothesis."""

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from benchmark.stats.permutation import permutation_test

Numbers = NDArray[np.float64]


def _apart(values: Numbers) -> Numbers:
    distances: Numbers = np.abs(values[:, None] - values[None, :])
    return distances


@pytest.mark.parametrize("sizes", [(3, 4), (5, 2), (4, 4)])
@pytest.mark.parametrize("kind", ["numbers", "few-values"])
def test_it_matches_scipy(sizes: tuple[int, int], kind: str) -> None:
    """On numbers, the test matches SciPy's test with the energy distance."""
    rng = np.random.default_rng(sum(sizes))
    draw = rng.normal(size=sum(sizes)) if kind == "numbers" else rng.integers(0, 3, sum(sizes))
    values = draw.astype(np.float64)
    ours = permutation_test(_apart(values), sizes[0])
    theirs = stats.permutation_test(
        (values[: sizes[0]], values[sizes[0] :]),
        stats.energy_distance,
        alternative="greater",
        n_resamples=np.inf,
    )
    assert ours == pytest.approx(theirs.pvalue)


def test_it_matches_a_naive_version() -> None:
    """On arbitrary distances, it matches an enumeration of splits and pairs."""
    rng = np.random.default_rng(5)
    half = np.triu(rng.integers(0, 4, size=(7, 7)), 1).astype(np.float64)
    distances = half + half.T

    def energy(group: tuple[int, ...]) -> float:
        rest = [i for i in range(7) if i not in group]
        across = np.mean([distances[i, j] for i in group for j in rest])
        inner = [np.mean([distances[i, j] for i in part for j in part]) for part in (group, rest)]
        return float(across - sum(inner) / 2)

    values = np.array([energy(group) for group in combinations(range(7), 3)])
    assert permutation_test(distances, 3) == np.mean(values >= values[0] - 1e-9)


@pytest.mark.parametrize("values", [2, 5, 1000])
def test_level_under_the_null(values: int) -> None:
    """Two groups of six from one distribution are separated in at most 1 % of samples."""
    rng = np.random.default_rng(values)
    drawn = rng.integers(0, values, size=(500, 12))
    alarms = sum(
        permutation_test((row[:, None] != row[None, :]).astype(np.float64), 6) <= 0.01
        for row in drawn
    )
    assert stats.binomtest(int(alarms), len(drawn), 0.01, alternative="greater").pvalue > 0.001


def test_constant_and_varying_groups_are_separated() -> None:
    """Six equal and six distinct items: only two of 924 splits are as far apart."""
    values = np.array([0, 1, 2, 3, 4, 5, 9, 9, 9, 9, 9, 9])
    p = permutation_test((values[:, None] != values[None, :]).astype(np.float64), 6)
    assert p == pytest.approx(2 / 924)


@pytest.mark.parametrize("first", [0, 4])
def test_an_empty_group(first: int) -> None:
    """An empty group is an error."""
    with pytest.raises(ValueError, match="a group is empty"):
        permutation_test(np.zeros((4, 4)), first)


def test_too_many_splits() -> None:
    """Too many splits are refused before memory is allocated."""
    with pytest.raises(ValueError, match="more than 100000 ways"):
        permutation_test(np.zeros((40, 40)), 20)
