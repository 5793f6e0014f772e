"""Rounds: every engine measures once in each, one at a time, in an order that turns."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

_T = TypeVar("_T")


def order(engines: Sequence[_T], repeats: int) -> Iterator[tuple[int, _T]]:
    """Each engine with the number of its round.

    Every second round goes backwards, and after two rounds another engine is the first, so that
    none gains by what runs before it, or loses by a machine that grows warm.
    """
    for number in range(repeats):
        turn = number // 2 % max(len(engines), 1)
        turned = [*engines[turn:], *engines[:turn]]
        for engine in reversed(turned) if number % 2 else turned:
            yield number, engine


def spread(count: int, wanted: int | None) -> list[int]:
    """So many places, evenly spread over all; all of them where not fewer are wanted."""
    if wanted is None or wanted >= count:
        return list(range(count))
    return [place * count // wanted for place in range(wanted)]


def picked(of: Sequence[_T], places: Iterable[int]) -> list[_T]:
    """What stands at the places."""
    return [of[place] for place in places]
