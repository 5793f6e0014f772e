"""Count outcomes by the number of operations that changed the box."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from benchmark.records import Outcome, Tally


@dataclass(frozen=True, slots=True)
class Counts:
    """Correct and total queries by numops, for every numops that occurs."""

    by_numops: dict[int, Tally]

    @property
    def overall(self) -> Tally:
        """The tally of all queries."""
        return _sum(self.by_numops.values())

    @property
    def nontrivial(self) -> Tally:
        """The tally of boxes that at least one operation changed, the paper's main measure."""
        return _sum(tally for numops, tally in self.by_numops.items() if numops >= 1)


def count(outcomes: Iterable[Outcome]) -> Counts:
    """Return the counts of the outcomes."""
    correct: Counter[int] = Counter()
    total: Counter[int] = Counter()
    for outcome in outcomes:
        total.update(outcome.numops)
        pairs = zip(outcome.numops, outcome.correct, strict=True)
        correct.update(numops for numops, right in pairs if right)
    return Counts({numops: Tally(correct[numops], total[numops]) for numops in sorted(total)})


def _sum(tallies: Iterable[Tally]) -> Tally:
    pairs = [(tally.correct, tally.total) for tally in tallies]
    return Tally(sum(correct for correct, _ in pairs), sum(total for _, total in pairs))
