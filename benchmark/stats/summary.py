"""Counts with their intervals: what a run comes to."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.records import Outcome, Tally
from benchmark.scoring.counts import count
from benchmark.stats.intervals import Interval, clustered_interval


@dataclass(frozen=True, slots=True)
class Estimate:
    """A tally with its 95 % interval, clustered by sequence."""

    tally: Tally
    interval: Interval


@dataclass(frozen=True, slots=True)
class Summary:
    """All queries, the non-trivial ones (numops >= 1), and each numops that occurs."""

    overall: Estimate
    nontrivial: Estimate
    by_numops: dict[int, Estimate]

    def as_json(self) -> dict[str, object]:
        """Counts as ``{"correct": k, "total": n}``; accuracies and intervals in per cent."""
        parts = {"overall": self.overall, "nontrivial": self.nontrivial}
        numops = {str(n): estimate for n, estimate in self.by_numops.items()}
        return {
            **{name: _counts(estimate) for name, estimate in parts.items()},
            "by_numops": {name: _counts(estimate) for name, estimate in numops.items()},
            "percent": {
                **{name: _percent(estimate) for name, estimate in parts.items()},
                "by_numops": {name: _percent(estimate) for name, estimate in numops.items()},
            },
        }


def summarize(outcomes: Sequence[Outcome]) -> Summary:
    """The summary of the outcomes."""
    counts = count(outcomes)
    numops = range(max(counts.by_numops, default=0) + 1)
    return Summary(
        overall=Estimate(counts.overall, _interval(outcomes, numops)),
        nontrivial=Estimate(counts.nontrivial, _interval(outcomes, numops[1:])),
        by_numops={
            n: Estimate(tally, _interval(outcomes, [n])) for n, tally in counts.by_numops.items()
        },
    )


def _interval(outcomes: Sequence[Outcome], wanted: Sequence[int]) -> Interval:
    return clustered_interval(
        (outcome.sample_id, right)
        for outcome in outcomes
        for numops, right in zip(outcome.numops, outcome.correct, strict=True)
        if numops in wanted
    )


def _counts(estimate: Estimate) -> dict[str, int]:
    return {"correct": estimate.tally.correct, "total": estimate.tally.total}


def _percent(estimate: Estimate) -> dict[str, float | None]:
    accuracy = round(100 * estimate.tally.accuracy, 2) if estimate.tally.total else None
    low, high = (round(100 * end, 2) for end in estimate.interval)
    return {"accuracy": accuracy, "low": low, "high": high}
