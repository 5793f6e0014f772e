"""Which of many releases moved something: binary search over real releases, some of them broken.

The search is told nothing but how to measure a place (``probe``) and whether two measurements
differ (``moved``). It finds a place where a move happens for certain, and the first one only if
the places before it are as their ends are: what moved and came back between two like ends is not
seen without looking at every place.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Generic, TypeVar

from benchmark.errors import SettingError

T = TypeVar("T")

Probe = Callable[[int], T | None]
Moved = Callable[[T, T], bool]


@dataclass(frozen=True, slots=True)
class Move:
    """Something moved after ``before`` and by ``after``.

    ``between`` are the places in the middle, none of which could be measured: where there are
    any, it may have been one of them.
    """

    before: int
    after: int

    @property
    def between(self) -> tuple[int, ...]:
        """The places that could not be measured."""
        return tuple(range(self.before + 1, self.after))


class Search(Generic[T]):
    """Measurements of places 0 to ``count - 1``, each made once and when it is needed."""

    def __init__(self, count: int, probe: Probe[T], moved: Moved[T]) -> None:
        """Take how many places there are, what measures one, and what tells two apart.

        Raises:
            SettingError: for fewer than two places.
        """
        if count < 2:  # noqa: PLR2004  # a search is between two ends
            raise SettingError("a search needs two releases at least; widen the range")
        self._probe, self._moved = probe, moved
        self._made: dict[int, T | None] = {}
        self.count = count

    @property
    def measured(self) -> tuple[int, ...]:
        """The places that were measured, in their order."""
        return tuple(place for place in sorted(self._made) if self._made[place] is not None)

    def ends(self) -> tuple[int, int]:
        """The outermost places that can be measured.

        Raises:
            SettingError: when fewer than two can.
        """
        places = range(self.count)
        first = next((p for p in places if self.at(p) is not None), None)
        last = next((p for p in reversed(places) if self.at(p) is not None), None)
        if first is None or last is None or first == last:
            raise SettingError("fewer than two of these releases can be measured; widen the range")
        return first, last

    def at(self, place: int) -> T | None:
        """The measurement of a place; None where it cannot be had."""
        if place not in self._made:
            self._made[place] = self._probe(place)
        return self._made[place]

    def drop(self, place: int) -> None:
        """Take a measurement back, as one that cannot be had."""
        self._made[place] = None

    def differ(self, one: int, other: int) -> bool:
        """Whether the measurements of two places differ."""
        before, after = self.at(one), self.at(other)
        return before is not None and after is not None and self._moved(before, after)

    def first(self, low: int, high: int) -> Move | None:
        """A move between two measured places, told from the lower; None where they are alike."""
        if not self.differ(low, high):
            return None
        origin = low
        while (middle := self._middle(low, high)) is not None:
            low, high = (low, middle) if self.differ(origin, middle) else (middle, high)
        return Move(low, high)

    def every(self, low: int, high: int) -> tuple[Move, ...]:
        """The moves that lead from one measured place to another, in order.

        After a move the search goes on from what it led to, as long as that is not yet what the
        end is.
        """
        found = list[Move]()
        while (move := self.first(low, high)) is not None:
            found.append(move)
            low = move.after
        return tuple(found)

    def one_by_one(self, low: int, high: int) -> tuple[Move, ...]:
        """All moves between neighbours, with every place measured: what came back is seen too."""
        places = [p for p in range(low, high + 1) if self.at(p) is not None]
        return tuple(Move(a, b) for a, b in pairwise(places) if self.differ(a, b))

    def _middle(self, low: int, high: int) -> int | None:
        """The place nearest to the middle that can be measured, strictly between the two."""
        centre = (low + high) / 2
        for place in sorted(range(low + 1, high), key=lambda p: (abs(p - centre), p)):
            if self.at(place) is not None:
                return place
        return None


def causes(
    changes: Sequence[str], moves: Callable[[frozenset[str]], bool | None]
) -> tuple[frozenset[str], ...]:
    """The changes that move something, of those that do it together.

    Each that does it alone; where none does, each pair that does; where no pair does, one set found
    by delta debugging (Zeller and Hildebrandt, 2002), none of whose parts could be left out alone.
    ``moves`` is None where a set cannot be tried; such a set is no answer.

    Raises:
        SettingError: when all changes together move nothing.
    """
    whole = frozenset(changes)
    if not moves(whole):
        raise SettingError("all changes together move nothing: there is no culprit to look for")
    for size in (1, 2):
        subsets = map(frozenset, combinations(changes, size))
        if found := tuple(each for each in subsets if each == whole or moves(each)):
            return found
    return (_minimal(list(changes), moves),)


def _minimal(changes: list[str], moves: Callable[[frozenset[str]], bool | None]) -> frozenset[str]:
    """ddmin: parts, then what is left without a part, in ever smaller parts."""
    parts = 2
    while len(changes) > 1:
        size = -(-len(changes) // parts)
        chunks = [changes[start : start + size] for start in range(0, len(changes), size)]
        rests = [[c for c in changes if c not in chunk] for chunk in chunks]
        smaller = next((c for c in (*chunks, *rests) if c and moves(frozenset(c))), None)
        if smaller is not None:
            parts = 2 if smaller in chunks else max(parts - 1, 2)
            changes = smaller
        elif parts < len(changes):
            parts = min(2 * parts, len(changes))
        else:
            break
    return frozenset(changes)
