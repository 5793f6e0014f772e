"""The random baseline in closed form and by simulation, by each reading of its description.

It draws 0 to 3 objects from those mentioned in a clause that names the box. The paper's sentence
can be read in several ways, and its row of Table 6 is of one of them: readings.toml has them as
data. The closed form and the simulation are the same functions for all.
"""

import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib.resources import files
from itertools import combinations
from math import comb, factorial
from typing import Literal, TypedDict

from benchmark.boxes.draws import Draws
from benchmark.boxes.language import STANDARD, Language, parse
from benchmark.boxes.states import replay
from benchmark.records import Contents, State

_DRAWS = range(4)
"""How many objects are drawn: one of these, uniformly."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of the baseline's description: what is drawn from, how, and how compared."""

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
def readings() -> dict[str, Reading]:
    """Return the readings by name; the first is the one comparable with Table 6."""
    text = files("benchmark.boxes").joinpath("readings.toml").read_text(encoding="utf-8")
    entries = (Reading(**fields) for fields in tomllib.loads(text)["readings"])
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


def expectation(reading: Reading, mentioned: Contents, gold: Contents) -> Fraction:
    """Return the probability that the baseline's prediction is right.

    Args:
        reading: how to draw and compare.
        mentioned: the objects mentioned with the box, repeats kept.
        gold: its contents, in the order of the gold statement.
    """
    counts = Counter(_pool(reading, mentioned))
    return _expectation(reading, tuple(sorted(counts[name] for name in gold)), sum(counts.values()))


@cache
def _expectation(reading: Reading, counts: tuple[int, ...], total: int) -> Fraction:
    """The same, from how often each gold object is in the pool, and the size of the pool."""
    size, exact = len(counts), reading.compared == "exact"
    drawn = [_drawn(reading, total, uniform) for uniform in _DRAWS]
    hits = sum(
        (_covering(reading, counts, total, k) for k in drawn if k == size or not exact),
        Fraction(),
    )
    # As many draws as gold objects give these in each order alike.
    return hits / len(_DRAWS) / (factorial(size) if exact else 1)


def _covering(reading: Reading, counts: tuple[int, ...], total: int, draws: int) -> Fraction:
    """The chance that so many draws give every gold object and nothing else.

    By inclusion and exclusion over the subsets of gold.
    """
    return sum(
        (
            (-1) ** (len(counts) - size) * _inside(reading, sum(part), total, draws)
            for size in range(len(counts) + 1)
            for part in combinations(counts, size)
        ),
        Fraction(),
    )


def _inside(reading: Reading, part: int, total: int, draws: int) -> Fraction:
    """The chance that all draws are of a part of the pool."""
    if reading.replacement:
        return Fraction(part, total or 1) ** draws
    return Fraction(comb(part, draws), comb(total, draws))


def predict(reading: Reading, draws: Draws, mentioned: Contents) -> Contents:
    """Return one prediction of the baseline, in the order drawn."""
    pool = _pool(reading, mentioned)
    count = _drawn(reading, len(pool), draws.choice(_DRAWS))
    if reading.replacement:
        return tuple(draws.choice(pool) for _ in range(count))
    return tuple(draws.sample(pool, count))


def is_right(reading: Reading, prediction: Contents, gold: Contents) -> bool:
    """Whether the prediction is right by the reading's comparison."""
    if reading.compared == "exact":
        return prediction == gold
    return set(prediction) == set(gold)


def baselines(states: Iterable[State], language: Language = STANDARD) -> dict[str, Percentages]:
    """Return the expected accuracy on the states by every reading, in per cent."""
    asked = [
        (query.numops, mentioned, query.gold)
        for state in states
        for query, mentioned in zip(state.queries, mentions(state, language), strict=True)
    ]
    return {name: _percentages(reading, asked) for name, reading in readings().items()}


def baselines_as_json(found: Mapping[str, Percentages]) -> dict[str, object]:
    """Return the figures as a document has them: the first reading's, the others beneath."""
    first = next(iter(readings()))
    return {**found[first], **{name: each for name, each in found.items() if name != first}}


def _pool(reading: Reading, mentioned: Contents) -> Contents:
    return mentioned if reading.pool == "mentions" else tuple(dict.fromkeys(mentioned))


def _drawn(reading: Reading, total: int, uniform: int) -> int:
    """How many are drawn from a pool of that size."""
    return uniform if reading.replacement and total else min(uniform, total)


def _percentages(reading: Reading, asked: Iterable[tuple[int, Contents, Contents]]) -> Percentages:
    chances: defaultdict[int, Counter[Fraction]] = defaultdict(Counter)
    for numops, mentioned, gold in asked:
        chances[numops][expectation(reading, mentioned, gold)] += 1
    return {
        "overall": _percent(chances.values()),
        "nontrivial": _percent(group for numops, group in chances.items() if numops),
        "by_numops": {str(numops): _percent([chances[numops]]) for numops in sorted(chances)},
    }


def _percent(groups: Iterable[Counter[Fraction]]) -> float | None:
    """The mean chance in per cent; None where there is no query."""
    every: Counter[Fraction] = sum(groups, Counter())
    if not every:
        return None
    hits = sum((chance * queries for chance, queries in every.items()), Fraction())
    return float(100 * hits / every.total())
