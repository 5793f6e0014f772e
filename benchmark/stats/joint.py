"""One decision over several models whose outcomes changed, on the same sequences.

The models answer the same questions, so their changes are correlated. Random signs are drawn once
per sequence and flip the changes of all models together, which keeps the correlation. The largest
score over the models then has one distribution, and one p-value. By stepping down from the largest
score, each model gets an adjusted p-value (Westfall and Young, "Resampling-based multiple testing",
1993, algorithm 2.8). The probability that any model without a change is called changed is at most
the level, whichever models changed: a closed test, since the flips of a subset of models do not
depend on the others.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.records import Outcome
from benchmark.stats.constants import LEVEL, SAME_MARGIN, fresh_rng
from benchmark.stats.decision import Decision, difference
from benchmark.stats.differences import ClusteredDifference, clustered_difference
from benchmark.stats.paired import RESAMPLES, PairedTest, paired_test

TOGETHER = "all models"
"""The name of the mean change over the models, which is tested with them."""

_BLOCK = 500
_ROUNDING = 1e-9

PairedOutcomes = tuple[Sequence[Outcome], Sequence[Outcome]]
"""Outcomes of a model before and after, on the same states in the same order."""


@dataclass(frozen=True, slots=True)
class JointTest:
    """The test of several models together.

    Attributes:
        tests: the test of each model by itself.
        adjusted: p-value of each model, and of :data:`TOGETHER`, adjusted for all of them.
        pooled: the difference over the queries of all models, of which the sequences are clusters.
    """

    tests: Mapping[str, PairedTest]
    adjusted: Mapping[str, float]
    pooled: ClusteredDifference

    @property
    def p(self) -> float:
        """Return the p-value of "at least one model changed"."""
        return min(self.adjusted.values())

    def differs(self, level: float = LEVEL) -> dict[str, Decision]:
        """Decide which models changed, by their adjusted p-values."""
        return {
            name: test.differs(level).with_p(self.adjusted[name])
            for name, test in self.tests.items()
        }

    def together(self, level: float = LEVEL) -> Decision:
        """Decide whether the models changed together, by the adjusted p-value of their mean."""
        return difference(self.pooled.effect(level / 2), self.adjusted[TOGETHER], level)

    def is_equal(self, margin: float = SAME_MARGIN, level: float = LEVEL) -> Decision:
        """Decide whether every model is equal within a margin (an intersection-union test).

        All models must be: the claim is supported by the model with the largest p-value, which
        needs no correction (Berger, "Multiparameter hypothesis testing and acceptance sampling",
        1982). It is refuted by any model that is beyond the margin, at the level divided by the
        number of models (Bonferroni).
        """
        return self._of_all(lambda test, level: test.is_equal(margin, level), level)

    def is_not_worse(self, margin: float = SAME_MARGIN, level: float = LEVEL) -> Decision:
        """Decide whether no model is worse by a margin or more, like :meth:`is_equal`."""
        return self._of_all(lambda test, level: test.is_not_worse(margin, level), level)

    def _of_all(self, decide: Callable[[PairedTest, float], Decision], level: float) -> Decision:
        tests = self.tests.values()
        corrected = (decide(test, level / len(tests)) for test in tests)
        refuting = [one for one in corrected if one.verdict == "not supported"]
        if refuting:
            return max(refuting, key=lambda one: one.p)
        weakest = max(
            (decide(test, level) for test in tests), key=lambda one: (bool(one.doubt), one.p)
        )
        if weakest.verdict != "not supported":
            return weakest
        reason = f"{weakest.reason}, but not if corrected for {len(tests)} models"
        return replace(weakest, verdict="undecided", reason=reason)


def joint_test(
    models: Mapping[str, PairedOutcomes],
    rng: np.random.Generator,
    counts_numops: Callable[[int], bool] = lambda _: True,
) -> JointTest:
    """Test whether any of several models changed, and which.

    Args:
        models: outcomes before and after, by model.
        rng: generator for the signs.
        counts_numops: which queries count, by numops.

    Raises:
        ValueError: as :func:`benchmark.stats.paired.paired_test`; also without a model.
    """
    if not models:
        raise ValueError("no model")
    tests = {
        name: paired_test(*outcomes, fresh_rng(), counts_numops)
        for name, outcomes in models.items()
    }
    changes = [_changes(*outcomes, counts_numops) for outcomes in models.values()]
    clusters = sorted(set[int]().union(*changes))
    none = _Change()
    table = [[row.get(cluster, none) for cluster in clusters] for row in changes]
    rows = np.array([[change.net for change in row] for row in table], np.int64)
    sizes = np.array([[change.queries for change in row] for row in table], np.int64)
    pooled = clustered_difference(
        rows.sum(axis=0),
        sizes.sum(axis=0),
        changed=sum(test.gained + test.lost for test in tests.values()),
    )
    scores = np.vstack([rows, (rows / sizes.sum(axis=1)[:, None]).mean(axis=0)])
    names = (*models, TOGETHER)
    return JointTest(tests, dict(zip(names, max_t(scores, rng), strict=True)), pooled)


def max_t(
    differences: NDArray[np.float64], rng: np.random.Generator, resamples: int = RESAMPLES
) -> list[float]:
    """Return the p-values of sums under common random signs, adjusted by stepping down.

    The observed signs count as one of the resamples, which makes the level exact.

    Args:
        differences: shape (rows, clusters); the signs of a cluster are flipped in all rows.
        rng: generator for the signs.
        resamples: number of random sign vectors.
    """
    scale = np.sqrt((differences**2).sum(axis=1))
    scores = differences / np.where(scale, scale, 1.0)[:, None]
    observed = abs(scores.sum(axis=1))
    order = np.argsort(-observed, kind="stable")
    beyond = np.zeros(len(order))
    for start in range(0, resamples, _BLOCK):
        size = (min(_BLOCK, resamples - start), differences.shape[1])
        drawn = abs((rng.integers(0, 2, size=size) * 2.0 - 1) @ scores[order].T)
        # The largest score among a row and those below it in the order.
        largest = np.maximum.accumulate(drawn[:, ::-1], axis=1)[:, ::-1]
        beyond += (largest >= observed[order] - _ROUNDING).sum(axis=0)
    ordered = np.maximum.accumulate((beyond + 1) / (resamples + 1))
    adjusted = np.empty(len(order))
    adjusted[order] = ordered
    return [float(p) for p in adjusted]


class _Change(NamedTuple):
    """The gained minus the lost queries of a sequence, and how many it has."""

    net: int = 0
    queries: int = 0


def _changes(
    before: Sequence[Outcome], after: Sequence[Outcome], counts_numops: Callable[[int], bool]
) -> dict[int, _Change]:
    """Return the change of each sequence."""
    changes: defaultdict[int, _Change] = defaultdict(_Change)
    for first, second in zip(before, after, strict=True):
        columns = zip(first.numops, first.correct, second.correct, strict=True)
        steps = [new - old for n, old, new in columns if counts_numops(n)]
        net, queries = changes[first.sample_id]
        changes[first.sample_id] = _Change(net + sum(steps), queries + len(steps))
    return changes
