"""Rounds: every engine is measured once in each, one at a time, in a rotating order."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

_T = TypeVar("_T")


def rotating_order(engines: Sequence[_T], repeats: int) -> Iterator[tuple[int, _T]]:
    """Yield each engine with the number of its round.

    Every second round goes backwards, and after each pair of rounds another engine is first, so
    that neither the engine before nor a machine that warms up favours one of them. Three engines
    go abc, cba, bca, acb, cab, bac.
    """
    for number in range(repeats):
        start = number // 2 % max(len(engines), 1)
        rotated = [*engines[start:], *engines[:start]]
        for engine in reversed(rotated) if number % 2 else rotated:
            yield number, engine


def evenly_spaced(count: int, size: int | None) -> list[int]:
    """Return ``size`` evenly spaced indices below ``count``; all of them if ``size`` is None.

    For a count of 7 and a size of 3 they are 0, 2 and 4.
    """
    if size is None or size >= count:
        return list(range(count))
    return [i * count // size for i in range(size)]


def select(items: Sequence[_T], indices: Iterable[int]) -> list[_T]:
    """Return the items at these indices."""
    return [items[i] for i in indices]
