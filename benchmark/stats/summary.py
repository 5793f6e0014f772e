"""Counts with their intervals: what a run comes to."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

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
    queries = defaultdict[int, list[tuple[int, bool]]](list)
    for outcome in outcomes:
        for numops, right in zip(outcome.numops, outcome.correct, strict=True):
            queries[numops].append((outcome.sample_id, right))

    def interval(wanted: Iterable[int]) -> Interval:
        return clustered_interval(chain.from_iterable(queries[n] for n in wanted))

    return Summary(
        overall=Estimate(counts.overall, interval(counts.by_numops)),
        nontrivial=Estimate(counts.nontrivial, interval(n for n in counts.by_numops if n)),
        by_numops={n: Estimate(tally, interval([n])) for n, tally in counts.by_numops.items()},
    )


def _counts(estimate: Estimate) -> dict[str, int]:
    return {"correct": estimate.tally.correct, "total": estimate.tally.total}


def _percent(estimate: Estimate) -> dict[str, float | None]:
    accuracy = round(100 * estimate.tally.accuracy, 2) if estimate.tally.total else None
    low, high = (round(100 * end, 2) for end in estimate.interval)
    return {"accuracy": accuracy, "low": low, "high": high}
