"""The random baseline, in closed form, for each reading of its description.

The baseline draws 0 to 3 objects from those mentioned in a clause that names the box. The paper's
sentence can be read in several ways, and its row of Table 6 follows one of them. The readings are
data (readings.toml); the functions here compute any of them.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import combinations
from math import comb, factorial
from typing import Literal, TypedDict

from benchmark.boxes.language import STANDARD, Language, parse
from benchmark.boxes.states import replay
from benchmark.package_data import package_toml
from benchmark.records import Contents, State

_DRAWS = range(4)
"""The possible numbers of objects to draw, all equally likely."""


@dataclass(frozen=True, slots=True)
class BaselineReading:
    """One reading of the baseline's description.

    ``pool`` is what objects are drawn from, ``compared`` the score that the draw is judged by.
    """

    name: str
    pool: Literal["objects", "mentions"]
    replacement: bool
    compared: Literal["exact", "set"]
    wording: str


class Percentages(TypedDict):
    """The baseline's expected accuracy in per cent, over all queries and by numops."""

    overall: float | None
    nontrivial: float | None
    by_numops: dict[str, float | None]


@cache
def readings() -> dict[str, BaselineReading]:
    """Return the readings by name; the first is the one comparable with Table 6."""
    entries = (
        BaselineReading(**fields) for fields in package_toml("boxes/readings.toml")["readings"]
    )
    return {reading.name: reading for reading in entries}


def mentions(state: State, language: Language = STANDARD) -> tuple[Contents, ...]:
    """Return for each box the objects in the clauses that name it, repeats kept.

    A clause such as ``Move the contents of Box 2 to Box 3`` names no object.
    """
    initial, operations = parse(state.description, language)
    mentioned: list[list[str]] = [list(objects) for objects in initial]
    worlds = replay(initial, operations, language)
    for operation, before in zip(operations, worlds, strict=False):  # one more world at the end
        named = language.named(operation, before)
        for box in (operation.source, operation.destination):
            if box is not None:
                mentioned[box].extend(named)
    return tuple(map(tuple, mentioned))


def expectation(reading: BaselineReading, mentioned: Contents, gold: Contents) -> Fraction:
    """Return the probability that the baseline's prediction is right.

    Args:
        reading: how to draw and compare.
        mentioned: the objects mentioned with the box, repeats kept.
        gold: its contents, in the order of the gold statement.
    """
    counts = Counter(_pool(reading, mentioned))
    return _expectation(reading, tuple(sorted(counts[name] for name in gold)), sum(counts.values()))


@cache
def _expectation(reading: BaselineReading, counts: tuple[int, ...], total: int) -> Fraction:
    """Return the expectation from the pool's size and how often it has each gold object."""
    size, exact = len(counts), reading.compared == "exact"
    drawn = [_drawn(reading, total, uniform) for uniform in _DRAWS]
    hits = sum(
        (_covering(reading, counts, total, k) for k in drawn if k == size or not exact),
        Fraction(),
    )
    # If the draw is the gold set, every order of it is equally likely.
    return hits / len(_DRAWS) / (factorial(size) if exact else 1)


def _covering(
    reading: BaselineReading, counts: tuple[int, ...], total: int, draws: int
) -> Fraction:
    """Return the probability that ``draws`` draws are exactly the gold objects.

    Computed by inclusion and exclusion over the subsets of the gold objects.
    """
    return sum(
        (
            (-1) ** (len(counts) - size) * _inside(reading, sum(subset), total, draws)
            for size in range(len(counts) + 1)
            for subset in combinations(counts, size)
        ),
        Fraction(),
    )


def _inside(reading: BaselineReading, size: int, total: int, draws: int) -> Fraction:
    """Return the probability that all draws are from ``size`` entries of the pool."""
    if reading.replacement:
        return Fraction(size, total or 1) ** draws
    return Fraction(comb(size, draws), comb(total, draws))


def baselines(states: Iterable[State], language: Language = STANDARD) -> dict[str, Percentages]:
    """Return the expected accuracy on the states by every reading, in per cent."""
    queries = [
        (query.numops, mentioned, query.gold)
        for state in states
        for query, mentioned in zip(state.queries, mentions(state, language), strict=True)
    ]
    return {name: _percentages(reading, queries) for name, reading in readings().items()}


def baselines_as_json(figures: Mapping[str, Percentages]) -> dict[str, object]:
    """Return the figures as JSON: the first reading's at the top, the others by name."""
    first = next(iter(readings()))
    others = {name: percentages for name, percentages in figures.items() if name != first}
    return {**figures[first], **others}


def _pool(reading: BaselineReading, mentioned: Contents) -> Contents:
    return mentioned if reading.pool == "mentions" else tuple(dict.fromkeys(mentioned))


def _drawn(reading: BaselineReading, total: int, uniform: int) -> int:
    """Return how many objects are drawn from a pool of ``total`` entries."""
    return uniform if reading.replacement and total else min(uniform, total)


def _percentages(
    reading: BaselineReading, queries: Iterable[tuple[int, Contents, Contents]]
) -> Percentages:
    chances: defaultdict[int, Counter[Fraction]] = defaultdict(Counter)
    for numops, mentioned, gold in queries:
        chances[numops][expectation(reading, mentioned, gold)] += 1
    return {
        "overall": _percent(chances.values()),
        "nontrivial": _percent(group for numops, group in chances.items() if numops),
        "by_numops": {str(numops): _percent([chances[numops]]) for numops in sorted(chances)},
    }


def _percent(groups: Iterable[Counter[Fraction]]) -> float | None:
    """Return the mean probability in per cent, None without queries."""
    chances: Counter[Fraction] = sum(groups, Counter())
    if not chances:
        return None
    hits = sum((chance * queries for chance, queries in chances.items()), Fraction())
    return float(100 * hits / chances.total())
