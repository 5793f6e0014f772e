"""The random baseline of the dataset's authors, in closed form and by simulation.

It draws 0 to 3 objects from those mentioned in a clause that names the box. Every mention
counts, so an object moved twice is twice as likely; draws are with replacement, and the
prediction is the set drawn.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from fractions import Fraction
from itertools import combinations
from typing import TypedDict

from benchmark.boxes.draws import Draws
from benchmark.boxes.language import parse
from benchmark.records import Contents, State

_DRAWS = range(4)
"""How many objects are drawn: one of these, uniformly."""


class Percentages(TypedDict):
    """The baseline's expected accuracy in per cent, over all queries and by numops."""

    overall: float | None
    nontrivial: float | None
    by_numops: dict[str, float | None]


def mentions(state: State) -> tuple[Contents, ...]:
    """For each box, the objects in the clauses that name it, repeats kept."""
    initial, operations = parse(state.description)
    named: list[list[str]] = [list(objects) for objects in initial]
    for operation in operations:
        for box in (operation.source, operation.destination):
            if box is not None:
                named[box].extend(operation.objects)
    return tuple(map(tuple, named))


def expectation(candidates: Contents, gold: Contents) -> Fraction:
    """The probability that the baseline's prediction is exactly the gold set.

    The chance that ``k`` draws give every gold object and nothing else follows by inclusion
    and exclusion over the subsets of gold. Without candidates nothing is predicted.
    """
    if not candidates:
        return Fraction(not gold)
    counts = Counter(candidates)
    hits = sum(
        (-1) ** (len(gold) - size)
        * Fraction(sum(map(counts.__getitem__, part)), counts.total()) ** k
        for k in _DRAWS
        for size in range(len(gold) + 1)
        for part in combinations(gold, size)
    )
    return Fraction(hits) / len(_DRAWS)


def predict(draws: Draws, candidates: Contents) -> frozenset[str]:
    """One prediction of the baseline."""
    if not candidates:
        return frozenset()
    return frozenset(draws.choice(candidates) for _ in range(draws.choice(_DRAWS)))


def baseline(states: Iterable[State]) -> Percentages:
    """The expected accuracy of the baseline on the states, in per cent."""
    chances: defaultdict[int, list[Fraction]] = defaultdict(list)
    for state in states:
        for query, candidates in zip(state.queries, mentions(state), strict=True):
            chances[query.numops].append(expectation(candidates, query.gold))
    every = [chance for group in chances.values() for chance in group]
    nontrivial = [chance for numops, group in chances.items() if numops for chance in group]
    return {
        "overall": _percent(every),
        "nontrivial": _percent(nontrivial),
        "by_numops": {str(numops): _percent(chances[numops]) for numops in sorted(chances)},
    }


def _percent(chances: list[Fraction]) -> float | None:
    return float(100 * sum(chances, Fraction()) / len(chances)) if chances else None
