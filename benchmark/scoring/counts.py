"""Count outcomes by the number of operations that changed the box."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from benchmark.records import Outcome, Tally

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Groups(Protocol[T_co]):
    """Values of all queries, of those with numops >= 1, and of each numops."""

    @property
    def overall(self) -> T_co:
        """That of all queries."""

    @property
    def nontrivial(self) -> T_co:
        """That of the queries with numops >= 1."""

    @property
    def by_numops(self) -> Mapping[int, T_co]:
        """That of each numops."""


def groups_as_json(groups: Groups[T], convert: Callable[[T], object]) -> dict[str, object]:
    """Return the converted values under the names of their groups, as every document has them."""
    return {
        "overall": convert(groups.overall),
        "nontrivial": convert(groups.nontrivial),
        "by_numops": {str(n): convert(value) for n, value in groups.by_numops.items()},
    }


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
