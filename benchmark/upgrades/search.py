"""Search many releases for those where a measurement changes; releases may be unmeasurable.

A search knows only how to measure the release at an index (``measure``) and whether two
measurements differ (``differ``). It finds an index where the measurement certainly changes. That is
the first change if no earlier one was reverted: a change that was reverted between two equal
measurements is only found by measuring every release.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Generic, TypeVar

from benchmark.errors import SettingError

T = TypeVar("T")

MeasureAt = Callable[[int], T | None]
Differ = Callable[[T, T], bool]


@dataclass(frozen=True, slots=True)
class Transition:
    """Two indexes whose measurements differ; none between them could be measured."""

    before: int
    after: int

    @property
    def between(self) -> tuple[int, ...]:
        """The indexes between the two; the change may have been made by any of them."""
        return tuple(range(self.before + 1, self.after))


class TooFewMeasurableError(SettingError):
    """Fewer than two releases of a range can be measured."""


class Search(Generic[T]):
    """Measurements at indexes 0 to ``count - 1``, each made once and on demand."""

    def __init__(self, count: int, measure: MeasureAt[T], differ: Differ[T]) -> None:
        """Take the number of indexes, and how to measure and to compare.

        Raises:
            SettingError: for fewer than two indexes.
        """
        if count < 2:  # noqa: PLR2004  # a search is between two ends
            raise SettingError("a search needs at least two releases; widen the range")
        self._measure, self._differ = measure, differ
        self._measurements: dict[int, T | None] = {}
        self.count = count

    @property
    def measured(self) -> tuple[int, ...]:
        """The indexes that were measured, in order."""
        return tuple(i for i in sorted(self._measurements) if self._measurements[i] is not None)

    def ends(self) -> tuple[int, int]:
        """Return the lowest and the highest index that can be measured.

        Raises:
            TooFewMeasurableError: if fewer than two can.
        """
        indexes = range(self.count)
        first = next((i for i in indexes if self.at(i) is not None), None)
        last = next((i for i in reversed(indexes) if self.at(i) is not None), None)
        if first is None or last is None or first == last:
            raise TooFewMeasurableError(
                "fewer than two of these releases can be measured; widen the range, or add "
                "releases that go with them by --with"
            )
        return first, last

    def at(self, index: int) -> T | None:
        """Return the measurement at an index; None if it cannot be measured."""
        if index not in self._measurements:
            self._measurements[index] = self._measure(index)
        return self._measurements[index]

    def drop(self, index: int) -> None:
        """Treat an index as one that cannot be measured from now on."""
        self._measurements[index] = None

    def differ(self, one: int, other: int) -> bool:
        """Return whether both indexes can be measured and their measurements differ."""
        before, after = self.at(one), self.at(other)
        return before is not None and after is not None and self._differ(before, after)

    def first(self, low: int, high: int) -> Transition | None:
        """Return a transition between two measured indexes; None if the two do not differ."""
        if not self.differ(low, high):
            return None
        origin = low
        while (middle := self._middle(low, high)) is not None:
            low, high = (low, middle) if self.differ(origin, middle) else (middle, high)
        return Transition(low, high)

    def every(self, low: int, high: int) -> tuple[Transition, ...]:
        """Return the transitions that lead from one measured index to another, in order.

        After a transition the search continues from its second index until that does not differ
        from the end.
        """
        transitions = list[Transition]()
        while (transition := self.first(low, high)) is not None:
            transitions.append(transition)
            low = transition.after
        return tuple(transitions)

    def one_by_one(self, low: int, high: int) -> tuple[Transition, ...]:
        """Measure every index, and return all transitions between neighbours."""
        indexes = [i for i in range(low, high + 1) if self.at(i) is not None]
        return tuple(Transition(a, b) for a, b in pairwise(indexes) if self.differ(a, b))

    def _middle(self, low: int, high: int) -> int | None:
        """Return the measurable index nearest to the middle, strictly between the two."""
        centre = (low + high) / 2
        for index in sorted(range(low + 1, high), key=lambda i: (abs(i - centre), i)):
            if self.at(index) is not None:
                return index
        return None


def minimal_causes(
    candidates: Sequence[str], has_effect: Callable[[frozenset[str]], bool | None]
) -> tuple[frozenset[str], ...]:
    """Return the smallest sets of candidates that have an effect all of them together have.

    Every single candidate that has the effect; if none does, every pair; if no pair does, one set
    found by delta debugging (Zeller and Hildebrandt, 2002), from which no part could be removed.

    Args:
        candidates: what may be the cause.
        has_effect: whether a set has the effect; None, which counts as no, if it cannot be tried.

    Raises:
        SettingError: if all candidates together have no effect.
    """
    everything = frozenset(candidates)
    if not has_effect(everything):
        raise SettingError("all upgrades together change nothing, so there is no cause to find")
    for size in (1, 2):
        subsets = map(frozenset, combinations(candidates, size))
        causes = tuple(s for s in subsets if s == everything or has_effect(s))
        if causes:
            return causes
    return (_ddmin(list(candidates), has_effect),)


def _ddmin(
    candidates: list[str], has_effect: Callable[[frozenset[str]], bool | None]
) -> frozenset[str]:
    """Reduce a set by delta debugging: try parts, then complements of parts, then smaller parts."""
    parts = 2
    while len(candidates) > 1:
        size = -(-len(candidates) // parts)
        chunks = [candidates[start : start + size] for start in range(0, len(candidates), size)]
        complements = [[c for c in candidates if c not in chunk] for chunk in chunks]
        smaller = next((c for c in (*chunks, *complements) if c and has_effect(frozenset(c))), None)
        if smaller is not None:
            parts = 2 if smaller in chunks else max(parts - 1, 2)
            candidates = smaller
        elif parts < len(candidates):
            parts = min(2 * parts, len(candidates))
        else:
            break
    return frozenset(candidates)
