"""Records of several processes in each of two environments: whether they differ beyond chance."""

from collections.abc import Sequence
from itertools import takewhile, zip_longest

import numpy as np

from benchmark.regression.comparison import compare
from benchmark.regression.movements import WHOLE
from benchmark.regression.record import AllowedSet, Record
from benchmark.regression.verdict import Comparison
from benchmark.stats.permutation import permutation_test


def chance(old: Sequence[Record], new: Sequence[Record], stages: Sequence[str]) -> dict[str, float]:
    """The p-value, a stage, of "the new records are drawn as the old ones are".

    Args:
        old: records of processes in the one environment, at least one.
        new: those in the other.
        stages: what is tested, each by :func:`benchmark.stats.permutation.permutation_test`.
    """
    records = [*old, *new]
    distances = {stage: np.zeros((len(records), len(records))) for stage in stages}
    for a, one in enumerate(records):
        for b in range(a):
            found = compare(one, records[b])
            for stage in stages:
                distances[stage][a, b] = distances[stage][b, a] = distance(found, stage)
    return {stage: permutation_test(distances[stage], len(old)) for stage in stages}


def distance(found: Comparison, stage: str) -> float:
    """How far two records are apart at a stage, from 0 for alike to 1.

    The part of the states that differ beyond noise. For the constraint each of them counts with the
    mean over its tokens: 1 where another number of tokens is allowed, or only one record comes so
    far, and half where as many but others are.
    """
    movement = next((each for each in found.moved if each.stage == stage), None)
    if movement is None:
        return 0.0
    if stage in WHOLE or movement.failed or not movement.states:
        return 1.0
    if stage != "constraint":
        return len(movement.states) / movement.of
    partner = dict(found.alignment.pairs)
    apart = [
        _unlike(_sets(found.old, a), _sets(found.new, partner[a]), _together(found, a, partner[a]))
        for a in movement.states
    ]
    return sum(apart) / movement.of


def _unlike(old: Sequence[AllowedSet], new: Sequence[AllowedSet], places: int) -> float:
    pairs = list(zip_longest(old[:places], new[:places]))
    return sum(map(_other, pairs)) / len(pairs) if pairs else 1.0


def _other(pair: tuple[AllowedSet | None, AllowedSet | None]) -> float:
    one, other = pair
    if one is None or other is None or one.size != other.size:
        return 1.0
    return 0.5 * (one.digest != other.digest)


def _sets(record: Record, state: int) -> list[AllowedSet]:
    """Up to the first token that is not allowed."""
    if record.allowed is None or not record.allowed.sets:
        return []
    numbers = record.allowed.along[state]
    return [record.allowed.sets[number] for number in numbers if number >= 0]


def _together(found: Comparison, old: int, new: int) -> int:
    """How many sets follow the same tokens in both: the next one after they part does too."""
    one, other = found.old.path[old : old + 1], found.new.path[new : new + 1]
    tokens = zip(*one, *other, strict=False) if one and other else ()
    alike = takewhile(lambda pair: pair[0] == pair[1], tokens)
    return sum(1 for _ in alike) + 1
