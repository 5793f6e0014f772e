"""Two models on the same queries: how far apart they are, and whether by more than chance.

The unit is the cluster, a sequence of operations: its states share operations and their
queries share answers. Under the null hypothesis that the models do not differ, swapping them
within a cluster changes nothing, so the sign of each cluster's difference is a fair coin.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.records import Outcome
from benchmark.stats.intervals import Interval

RESAMPLES = 9999
_BLOCK = 500

LEVEL = 0.05
"""Two-sided, of the sign of a difference."""

FEWEST = 6
"""Clusters that an interval wants: of fewer no sign test comes below 5 % (two-sided, 2 / 2**5)."""

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PairedTest:
    """The difference variant minus base, in accuracy (-1..1), and how sure it is.

    ``gained`` and ``lost`` are the queries that only the variant, or only the base, has right.
    ``greater`` is the one-sided p-value of "the variant is better", ``two_sided`` that of "they
    differ"; ``interval`` is the 95 % cluster bootstrap interval of the difference.
    """

    difference: float
    gained: int
    lost: int
    queries: int
    clusters: int
    greater: float
    two_sided: float
    interval: Interval

    @property
    def sign(self) -> int:
        """1 or -1 where the difference is beyond chance (two-sided, 5 %), else 0."""
        return (self.difference > 0) - (self.difference < 0) if self.two_sided < LEVEL else 0

    @property
    def telling_interval(self) -> Interval | None:
        """The interval, where the bootstrap can tell one.

        Of fewer than :data:`FEWEST` clusters, or where all differ alike, what is drawn with
        replacement hardly varies or not at all: no width then means that nothing is known of it.
        """
        if self.clusters < FEWEST or self.interval.low == self.interval.high:
            return None
        return self.interval


@dataclass(frozen=True, slots=True)
class PairedTests:
    """The test of all queries, of those with numops >= 1, and of each numops that occurs."""

    overall: PairedTest
    nontrivial: PairedTest
    by_numops: dict[int, PairedTest]


def paired_tests(
    base: Sequence[Outcome], variant: Sequence[Outcome], rng: Callable[[], np.random.Generator]
) -> PairedTests:
    """Compare two models on every group of queries, each with a generator of its own.

    Raises:
        ValueError: as :func:`paired_test`; also when no query has numops >= 1.
    """
    numops = sorted({n for outcome in base for n in outcome.numops})

    def test(wanted: set[int]) -> PairedTest:
        return paired_test(base, variant, rng(), wanted.__contains__)

    by_numops = {n: test({n}) for n in numops}
    return PairedTests(test(set(numops)), test(set(numops) - {0}), by_numops)


def paired_test(
    base: Sequence[Outcome],
    variant: Sequence[Outcome],
    rng: np.random.Generator,
    wanted: Callable[[int], bool] = lambda numops: numops >= 1,
) -> PairedTest:
    """Compare two models' outcomes on the same states, over queries whose numops is wanted.

    Args:
        base: outcomes of the one model, a state each.
        variant: outcomes of the other, on the same states in the same order.
        rng: for permutations and bootstrap.
        wanted: which numops count; by default the paper's main measure, at least one.

    Raises:
        ValueError: when the outcomes are not of the same states, or no query is wanted.
    """
    clusters: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
    for one, other in zip(base, variant, strict=True):
        if (one.sample_id, one.numops) != (other.sample_id, other.numops):
            raise ValueError("the outcomes are not of the same states")
        for numops, before, after in zip(one.numops, one.correct, other.correct, strict=True):
            if wanted(numops):
                counts = clusters[one.sample_id]
                counts[0] += after and not before
                counts[1] += before and not after
                counts[2] += 1
    if not clusters:
        raise ValueError("no query has a wanted numops")
    gained, lost, sizes = np.array(list(clusters.values()), dtype=np.int64).T
    differences = gained - lost
    greater, two_sided = sign_flip_test(differences, rng)
    return PairedTest(
        difference=float(differences.sum() / sizes.sum()),
        gained=int(gained.sum()),
        lost=int(lost.sum()),
        queries=int(sizes.sum()),
        clusters=len(sizes),
        greater=greater,
        two_sided=two_sided,
        interval=bootstrap_interval(differences, sizes, rng),
    )


def sign_flip_test(
    differences: Integers, rng: np.random.Generator, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """The p-values (greater, two-sided) of the sum under random signs of the clusters.

    The observed signs count as one of the resamples, which makes the test exact in level.

    Args:
        differences: shape (clusters,), whole numbers.
        rng: for the signs.
        resamples: how many random signs.
    """
    observed = int(differences.sum())
    moving = differences[differences != 0]
    at_least = beyond = 0
    for start in range(0, resamples, _BLOCK):
        size = (min(_BLOCK, resamples - start), len(moving))
        sums = (rng.integers(0, 2, size=size) * 2 - 1) @ moving
        at_least += int((sums >= observed).sum())
        beyond += int((abs(sums) >= abs(observed)).sum())
    return (at_least + 1) / (resamples + 1), (beyond + 1) / (resamples + 1)


def bootstrap_interval(
    differences: Integers, sizes: Integers, rng: np.random.Generator, resamples: int = RESAMPLES
) -> Interval:
    """The 95 % percentile interval of the ratio of sums over clusters drawn with replacement.

    Args:
        differences: shape (clusters,), gained minus lost queries.
        sizes: shape (clusters,), queries.
        rng: for the clusters drawn.
        resamples: how many times they are drawn.
    """
    count = len(sizes)
    ratios = []
    for start in range(0, resamples, _BLOCK):
        drawn = rng.integers(0, count, size=(min(_BLOCK, resamples - start), count))
        ratios.append(differences[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))
    low, high = np.quantile(np.concatenate(ratios), [0.025, 0.975])
    return Interval(float(low), float(high))
