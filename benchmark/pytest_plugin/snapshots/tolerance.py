"""When outcomes that were measured elsewhere agree with recorded ones, query by query.

Other vector widths, numbers of threads and kernels round differently, and a near tie may then be
decided the other way. Such changes are few and have no direction.
"""

from collections.abc import Callable, Iterator, Sequence
from math import comb
from typing import NamedTuple

from benchmark.records import Outcome
from benchmark.stats.constants import RECORD_LEVEL, SAME_MARGIN, fresh_rng
from benchmark.stats.paired import paired_test

FLIPS = SAME_MARGIN
"""The largest share of outcomes that may change.

An accuracy changes by no more than this share. So where it is kept, a difference by more than the
margin of "nothing changed" cannot be shown either, and the limit decides alone.
"""


class QueryGroup(NamedTuple):
    """Queries that are compared together; ``exact_share`` is whether :data:`FLIPS` is a limit.

    A group of few queries may exceed it by chance, and so may the queries of a single numops.
    """

    counts: Callable[[int], bool]
    exact_share: bool = True


def outcomes_agree(recorded: Sequence[Outcome], measured: Sequence[Outcome]) -> bool:
    """Return whether outcomes on the same states, in the same order, agree.

    At most 1 % may have changed: of all queries, of those with numops 0, and of those with numops
    >= 1. Of the queries of each numops so many may have changed as chance explains if 1 % do. The
    changes of each group must not have a direction: the paired test, clustered by sequence, has a
    p-value of at least :data:`benchmark.stats.constants.RECORD_LEVEL`.

    Raises:
        ValueError: if the outcomes are of different states.
    """
    return all(_agree(recorded, measured, group) for group in _groups(recorded))


def _groups(outcomes: Sequence[Outcome]) -> Iterator[QueryGroup]:
    """Yield the groups that have queries."""
    numops = sorted({n for outcome in outcomes for n in outcome.numops})
    if not numops:
        return
    yield QueryGroup(lambda _: True)
    if 0 in numops:
        yield QueryGroup(lambda n: n == 0)
    if numops[-1] > 0:
        yield QueryGroup(lambda n: n > 0)
    for value in numops[numops[0] == 0 :]:
        yield QueryGroup(value.__eq__, exact_share=False)


def _agree(recorded: Sequence[Outcome], measured: Sequence[Outcome], group: QueryGroup) -> bool:
    # The test comes first, as it checks that the states are the same.
    test = paired_test(recorded, measured, fresh_rng(), group.counts)
    most = FLIPS * test.queries
    if not group.exact_share:
        most = max(most, flips_by_chance(test.queries))
    changed = sum(
        before != after
        for old, new in zip(recorded, measured, strict=True)
        for n, before, after in zip(old.numops, old.correct, new.correct, strict=True)
        if group.counts(n)
    )
    return changed <= most and test.differs(RECORD_LEVEL).verdict == "undecided"


def flips_by_chance(queries: int) -> int:
    """Return how many of some queries may change if each does with a probability of 1 %.

    More than the returned number change with a probability of at most
    :data:`benchmark.stats.constants.RECORD_LEVEL`.
    """
    # Above some thousand queries the two limits are alike, and the binomial sum needs long numbers.
    below, flips = 0.0, -1
    while below < 1 - RECORD_LEVEL and flips < queries:
        flips += 1
        below += comb(queries, flips) * FLIPS**flips * (1 - FLIPS) ** (queries - flips)
    return flips
