"""The result of one task: its figures, and the decisions that they lead to."""

from dataclasses import dataclass
from math import isfinite

from benchmark.gate.pairing import PairedTask
from benchmark.stats import gate
from benchmark.stats.decision import Decision, Effect, difference
from benchmark.stats.decision import Verdict as ClaimVerdict
from benchmark.stats.gate import LEVEL, Clusters, TaskDecision, Verdict
from benchmark.stats.intervals import Interval
from benchmark.stats.points import SCORE

_CLAIM_VERDICTS: dict[Verdict, ClaimVerdict] = {
    "passes": "supported",
    "worse": "not supported",
    "undecided": "undecided",
}
_VERDICTS = {claim: verdict for verdict, claim in _CLAIM_VERDICTS.items()}


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What one task shows.

    In the decisions a positive difference is an improvement, also if lower scores are better; all
    other figures have the sign of the metric.

    Attributes:
        paired: the pairs, and what could not be paired.
        old: mean score before.
        new: mean score after.
        clusters: the samples by cluster.
        p: two-sided p-value of "nothing changed", not adjusted.
        decision: whether NEW is not worse by the margin or more, on which the verdict rests.
        difference: whether anything changed, by the p-value adjusted over the tasks.
    """

    paired: PairedTask
    old: float
    new: float
    clusters: Clusters
    p: float
    decision: Decision
    difference: Decision

    @property
    def verdict(self) -> Verdict:
        """The verdict of the gate on this task."""
        return _VERDICTS[self.decision.verdict]

    @property
    def change(self) -> float:
        """The mean of new minus old."""
        return _own_sign(self.paired, self.decision.effect.value)

    @property
    def interval(self) -> Interval | None:
        """The 90 % interval of the change; None for a single cluster."""
        interval = self.decision.effect.interval
        if interval is None or not self.paired.lower_is_better:
            return interval
        return Interval(_own_sign(self.paired, interval.high), _own_sign(self.paired, interval.low))

    def as_json(self) -> dict[str, object]:
        """Return the figures, and both decisions."""
        return {
            "verdict": self.verdict,
            "metric": self.paired.metric,
            "lower_is_better": self.paired.lower_is_better,
            "direction_assumed": self.paired.assumed,
            "not_compared": list(self.paired.others),
            "samples": self.clusters.samples,
            "clusters": len(self.clusters.sums),
            "old": self.old,
            "new": self.new,
            "change": self.change,
            "gained": self.clusters.gained,
            "lost": self.clusters.lost,
            "p": self.p,
            "decision": self.decision.as_json(),
            "difference": self.difference.as_json(),
            "missing": len(self.paired.missing),
            "only_old": self.paired.only_old,
            "only_new": self.paired.only_new,
            "unscored": self.paired.unscored,
            "prompts_differ": self.paired.prompts_differ,
        }


def task_result(
    paired: PairedTask, numbers: TaskDecision, margin: float, incomplete: str = ""
) -> TaskResult:
    """Return the result of a task.

    Args:
        paired: its pairs.
        numbers: what the rule says of them.
        margin: largest drop that passes, in the unit of the scores.
        incomplete: why it cannot pass; empty if it can.
    """
    return TaskResult(
        paired,
        _own_sign(paired, numbers.old),
        _own_sign(paired, numbers.new),
        numbers.clusters,
        numbers.p,
        _not_worse(numbers, margin, incomplete),
        difference(_effect(numbers.clusters, LEVEL / 2), numbers.adjusted_p),
    )


def _not_worse(numbers: TaskDecision, margin: float, incomplete: str) -> Decision:
    """Return the decision that the rule has taken; an incomplete task does not pass."""
    verdict, reason = _CLAIM_VERDICTS[numbers.verdict], numbers.reason
    doubt = gate.too_few(numbers.clusters)
    if verdict == "supported" and incomplete:
        verdict, reason, doubt = "undecided", incomplete, incomplete
    effect = _effect(numbers.clusters, LEVEL)
    return Decision(
        "non-inferiority", LEVEL, effect, numbers.margin_p, verdict, reason, margin, doubt
    )


def _effect(clusters: Clusters, tail: float) -> Effect:
    """Return the change with an interval, and what the sign-flip test finds.

    ``tail`` is the probability beyond each end of the interval, and the one-sided level of a test.
    """
    low, high = gate.bounds(clusters, tail)
    few = gate.too_few(clusters)
    detectable = gate.detectable(clusters, 2 * tail)
    unseen = f"unknown, {few}" if few else "none, not even the largest"
    return Effect(
        clusters.change,
        Interval(low, high) if isfinite(low) else None,
        "" if isfinite(low) else "a single cluster",
        detectable,
        unseen if detectable is None else "",
        SCORE,
    )


def _own_sign(paired: PairedTask, value: float) -> float:
    """Return a figure with the sign of its metric: if lower is better, pairs have it times -1."""
    return 0.0 - value if paired.lower_is_better else value
