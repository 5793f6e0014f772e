"""Whether two groups of like things differ, when all that is known is how far any two are apart."""

from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

MOST_SPLITS = 100_000
"""More are not gone through: two groups of nine are 48,620."""


def permutation_test(distances: NDArray[np.float64], first: int) -> float:
    """The p-value of "the first ``first`` things are not drawn as the others are".

    The statistic is the energy distance (Székely and Rizzo, 2004): the mean distance between the
    groups less half of the mean ones within them. All ways to split the things are gone through, so
    the level is exact: under the null hypothesis p <= a with probability a at most.

    Args:
        distances: shape (things, things), symmetric, with zeros on the diagonal.
        first: how many of them are the one group, the others being the other.

    Raises:
        ValueError: when a group is empty, or there are too many splits to go through.
    """
    count = len(distances)
    if not 0 < first < count:
        raise ValueError("a group is empty")
    if comb(count, first) > MOST_SPLITS:
        raise ValueError(f"more than {MOST_SPLITS} ways to split {count} things")
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
    # The first split is the one observed; sums in another order may differ in their last bits.
    return float((statistics >= statistics[0] - 1e-9).mean())
