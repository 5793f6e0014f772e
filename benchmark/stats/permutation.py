"""Permutation test of two groups of items, from their pairwise distances."""

from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

MOST_SPLITS = 100_000
"""Largest number of splits that is enumerated; two groups of nine have 48,620."""


def permutation_test(distances: NDArray[np.float64], first: int) -> float:
    """Return the p-value of "the two groups have different distributions".

    The statistic is the energy distance (Székely and Rizzo, 2004): the mean distance between the
    groups minus half of the mean distances within them. All splits are enumerated, so the level
    is exact: under the null hypothesis P(p <= a) <= a.

    Args:
        distances: shape (items, items), symmetric, with zeros on the diagonal.
        first: size of the first group; the remaining items are the second.

    Raises:
        ValueError: if a group is empty, or there are more than :data:`MOST_SPLITS` splits.
    """
    count = len(distances)
    if not 0 < first < count:
        raise ValueError("a group is empty")
    if comb(count, first) > MOST_SPLITS:
        raise ValueError(f"more than {MOST_SPLITS} ways to split {count} items")
    splits = np.array(list(combinations(range(count), first)))
    inside = np.zeros((len(splits), count))
    np.put_along_axis(inside, splits, 1.0, axis=1)
    outside = 1.0 - inside
    sizes = first, count - first
    between = ((inside @ distances) * outside).sum(axis=1) / (sizes[0] * sizes[1])
    within = [
        ((group @ distances) * group).sum(axis=1) / size**2
        for group, size in zip((inside, outside), sizes, strict=True)
    ]
    statistics = between - (within[0] + within[1]) / 2
    # The first split is the observed one. Sums in another order may differ in their last bits.
    return float((statistics >= statistics[0] - 1e-9).mean())
