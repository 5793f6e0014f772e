"""Paired comparison of two models on the same queries.

The unit is the cluster, a sequence of operations, because its states share operations and their
queries share answers. Under the null hypothesis that the models do not differ, swapping them
within a cluster changes nothing, so the sign of each cluster's difference is a fair coin.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from benchmark.records import Outcome
from benchmark.stats import decision
from benchmark.stats.constants import LEVEL, MIN_CLUSTERS_TO_REJECT, SAME_MARGIN
from benchmark.stats.decision import Decision
from benchmark.stats.differences import (
    ClusteredDifference,
    Integers,
    clustered_difference,
    too_few,
)
from benchmark.stats.intervals import Interval
from benchmark.stats.published import holm

RESAMPLES = 9999
_BLOCK = 500


@dataclass(frozen=True, slots=True)
class PairedTest:
    """The difference variant minus base, in accuracy (-1..1), with its p-values and interval.

    Attributes:
        difference: accuracy of the variant minus accuracy of the base.
        gained: queries that only the variant answers correctly.
        lost: queries that only the base answers correctly.
        queries: all queries.
        clusters: sequences that the queries are from.
        greater: one-sided p-value of "the variant is better".
        two_sided: p-value of "the models differ".
        clustered: the difference with its standard error and interval.
        states: all states; 0 if unknown.
    """

    difference: float
    gained: int
    lost: int
    queries: int
    clusters: int
    greater: float
    two_sided: float
    clustered: ClusteredDifference
    states: int = 0

    @property
    def sign(self) -> int:
        """Return 1 or -1 if the difference is significant (two-sided, 5 %), else 0."""
        return (self.difference > 0) - (self.difference < 0) if self.two_sided < LEVEL else 0

    @property
    def interval(self) -> Interval | None:
        """Return the 95 % interval of the difference; None if :attr:`no_interval` has a reason."""
        return self.clustered.interval

    @property
    def detectable(self) -> float | None:
        """Return the smallest difference (0..1) found with power 80 %, two-sided at 5 %.

        None for the reason in :meth:`ClusteredDifference.no_detectable`.
        """
        return self.clustered.detectable(LEVEL / 2)

    @property
    def no_interval(self) -> str:
        """Return why there is no interval; empty if there is one."""
        return self.clustered.no_interval

    def differs(self, level: float = LEVEL) -> Decision:
        """Decide whether the models differ, by the two-sided sign-flip test."""
        effect = self.clustered.effect(level / 2)
        return decision.difference(effect, self.two_sided, level, self._few(1))

    def gains(self, level: float = LEVEL) -> Decision:
        """Decide whether the variant is better, by the one-sided sign-flip test."""
        effect, is_loss = self.clustered.effect(level), self.sign < 0
        return decision.gain(effect, self.greater, is_loss=is_loss, level=level, doubt=self._few(0))

    def is_equal(self, margin: float = SAME_MARGIN, level: float = LEVEL) -> Decision:
        """Decide whether the models differ by less than a margin (a share)."""
        return self.clustered.equivalence(margin, level)

    def is_not_worse(self, margin: float = SAME_MARGIN, level: float = LEVEL) -> Decision:
        """Decide whether the variant is worse by less than a margin (a share)."""
        return self.clustered.non_inferiority(margin, level)

    def _few(self, more: int) -> str:
        """Return why an exact test cannot reject; a two-sided one needs one sequence more."""
        needed = MIN_CLUSTERS_TO_REJECT + more
        return too_few(self.clusters, needed) if self.clusters < needed else ""


class AdjustedPValues(NamedTuple):
    """P-values of all queries, of those with numops >= 1, and of each numops."""

    overall: float
    nontrivial: float
    by_numops: dict[int, float]


@dataclass(frozen=True, slots=True)
class PairedTests:
    """Tests of all queries, of the queries with numops >= 1, and of each numops that occurs."""

    overall: PairedTest
    nontrivial: PairedTest
    by_numops: dict[int, PairedTest]


def adjusted(comparisons: Sequence[PairedTests]) -> list[AdjustedPValues]:
    """Return the two-sided p-values that tables of comparisons show, by Holm's method.

    Those of numops >= 1, the main comparison, are adjusted over the comparisons, so that of a
    single one is not. Those of all queries and of each numops are adjusted together within each.
    """
    main = holm([tests.nontrivial.two_sided for tests in comparisons])
    return [_adjusted(tests, p) for tests, p in zip(comparisons, main, strict=True)]


def _adjusted(tests: PairedTests, main: float) -> AdjustedPValues:
    rows = tests.overall, *tests.by_numops.values()
    overall, *others = holm([test.two_sided for test in rows])
    return AdjustedPValues(overall, main, dict(zip(tests.by_numops, others, strict=True)))


def adjustment_note(comparisons: int) -> str:
    """Return the note on the p-values of :func:`adjusted` below the table of one comparison."""
    main = f"adjusted for {comparisons} comparisons" if comparisons > 1 else "the main comparison"
    return f"p: >= 1 is {main}; all other rows adjusted together (Holm)"


def paired_tests(
    base: Sequence[Outcome], variant: Sequence[Outcome], rng: Callable[[], np.random.Generator]
) -> PairedTests:
    """Compare two models on every group of queries.

    Args:
        base: outcomes of the base.
        variant: outcomes of the variant.
        rng: makes the generator of each test.

    Raises:
        ValueError: as :func:`paired_test`; also if no query has numops >= 1.
    """
    numops = sorted({n for outcome in base for n in outcome.numops})

    def test(group: set[int]) -> PairedTest:
        return paired_test(base, variant, rng(), group.__contains__)

    by_numops = {n: test({n}) for n in numops}
    return PairedTests(test(set(numops)), test(set(numops) - {0}), by_numops)


def paired_test(
    base: Sequence[Outcome],
    variant: Sequence[Outcome],
    rng: np.random.Generator,
    counts_numops: Callable[[int], bool] = lambda numops: numops >= 1,
) -> PairedTest:
    """Compare the outcomes of two models on the same states.

    Args:
        base: outcomes of the base, one per state.
        variant: outcomes of the variant, on the same states in the same order.
        rng: generator for the random signs.
        counts_numops: whether queries of a numops count; by default the paper's main measure,
            numops >= 1.

    Raises:
        ValueError: if the outcomes are of different states, or no query counts.
    """
    clusters: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
    for first, second in zip(base, variant, strict=True):
        if (first.sample_id, first.numops) != (second.sample_id, second.numops):
            raise ValueError("the outcomes are of different states")
        for numops, before, after in zip(first.numops, first.correct, second.correct, strict=True):
            if counts_numops(numops):
                counts = clusters[first.sample_id]
                counts[0] += after and not before
                counts[1] += before and not after
                counts[2] += 1
    if not clusters:
        raise ValueError("no query has a numops that counts")
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
        clustered=clustered_difference(differences, sizes, changed=int((gained + lost).sum())),
        states=len(base),
    )


def sign_flip_test(
    differences: Integers, rng: np.random.Generator, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Return the p-values (greater, two-sided) of a sum under random signs of its clusters.

    The observed signs count as one of the resamples, which makes the level of the test exact.

    Args:
        differences: shape (clusters,), integers.
        rng: generator for the signs.
        resamples: number of random sign vectors.
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
