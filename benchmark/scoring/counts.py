"""Outcomes as counts, by the number of operations that changed the box."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from benchmark.records import Outcome, Tally


@dataclass(frozen=True, slots=True)
class Counts:
    """Correct and total by numops, for every numops that occurs."""

    by_numops: dict[int, Tally]

    @property
    def overall(self) -> Tally:
        """All queries."""
        return _sum(self.by_numops.values())

    @property
    def nontrivial(self) -> Tally:
        """The paper's main measure: queries of boxes that at least one operation changed."""
        return _sum(tally for numops, tally in self.by_numops.items() if numops >= 1)


def count(outcomes: Iterable[Outcome]) -> Counts:
    """The counts of the outcomes."""
    correct: Counter[int] = Counter()
    total: Counter[int] = Counter()
    for outcome in outcomes:
        total.update(outcome.numops)
        pairs = zip(outcome.numops, outcome.correct, strict=True)
        correct.update(numops for numops, right in pairs if right)
    return Counts({numops: Tally(correct[numops], total[numops]) for numops in sorted(total)})


def _sum(tallies: Iterable[Tally]) -> Tally:
    every = list(tallies)
    return Tally(sum(t.correct for t in every), sum(t.total for t in every))
