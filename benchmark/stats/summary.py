"""Summaries of a run: counts with their intervals."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain

from benchmark.records import Outcome, Tally
from benchmark.scoring.counts import count, groups_as_json
from benchmark.scoring.outcomes import main_first, outcomes_by_score
from benchmark.stats.intervals import Interval, clustered_interval


@dataclass(frozen=True, slots=True)
class Estimate:
    """A tally with its 95 % interval, clustered by sequence."""

    tally: Tally
    interval: Interval

    @property
    def shown_interval(self) -> Interval | None:
        """Return the interval, or None if it has no width.

        The paper's interval has none at 0 and 100 %, which does not mean certainty.
        """
        return None if self.interval.low == self.interval.high else self.interval


@dataclass(frozen=True, slots=True)
class Summary:
    """Estimates of all queries, of the non-trivial ones (numops >= 1), and of each numops."""

    overall: Estimate
    nontrivial: Estimate
    by_numops: dict[int, Estimate]

    def as_json(self) -> dict[str, object]:
        """Return counts as ``{"correct": k, "total": n}``; accuracies and intervals in per cent."""
        counts = groups_as_json(self, lambda estimate: asdict(estimate.tally))
        return {**counts, "percent": groups_as_json(self, _percent)}


@dataclass(frozen=True, slots=True)
class Scored:
    """Outcomes by one score, one per state, and their summary."""

    outcomes: tuple[Outcome, ...]
    summary: Summary

    @classmethod
    def of(cls, outcomes: Iterable[Outcome]) -> "Scored":
        """Return the outcomes with their summary."""
        states = tuple(outcomes)
        return cls(states, summarize(states))


def scores_as_json(scores: Mapping[str, Scored]) -> dict[str, object]:
    """Return counts, accuracies and outcomes by every score, as in ``result.json``.

    Values by ``set`` are at the top level, values by another score under its name. Sequences and
    numops are the same for all scores and are stored once.
    """
    outcomes = outcomes_by_score({by: scored.outcomes for by, scored in scores.items()})
    parts = {by: {**scored.summary.as_json(), **outcomes[by]} for by, scored in scores.items()}
    return main_first(parts)


def summaries_as_json(summaries: Mapping[str, Summary]) -> dict[str, object]:
    """Return the summaries by every score: ``set`` at the top level, others under their names."""
    return main_first({by: summary.as_json() for by, summary in summaries.items()})


def summarize(outcomes: Sequence[Outcome]) -> Summary:
    """Return the summary of the outcomes."""
    counts = count(outcomes)
    queries = defaultdict[int, list[tuple[int, bool]]](list)
    for outcome in outcomes:
        for numops, right in zip(outcome.numops, outcome.correct, strict=True):
            queries[numops].append((outcome.sample_id, right))

    def interval(group: Iterable[int]) -> Interval:
        return clustered_interval(chain.from_iterable(queries[n] for n in group))

    return Summary(
        overall=Estimate(counts.overall, interval(counts.by_numops)),
        nontrivial=Estimate(counts.nontrivial, interval(n for n in counts.by_numops if n)),
        by_numops={n: Estimate(tally, interval([n])) for n, tally in counts.by_numops.items()},
    )


def _percent(estimate: Estimate) -> dict[str, float | None]:
    accuracy = round(100 * estimate.tally.accuracy, 2) if estimate.tally.total else None
    low, high = (round(100 * end, 2) for end in estimate.interval)
    return {"accuracy": accuracy, "low": low, "high": high}
