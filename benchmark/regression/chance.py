"""Records of several processes in each of two environments: whether they differ beyond chance."""

from collections.abc import Sequence

import numpy as np

from benchmark.regression.comparison import compare
from benchmark.regression.movements import WHOLE, first_other_set
from benchmark.regression.record import Record
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

    The part of the states that differ beyond noise; of each, the part of the answer's tokens from
    the first on at which another set is allowed, for the constraint.
    """
    movement = next((each for each in found.moved if each.stage == stage), None)
    if movement is None:
        return 0.0
    if stage in WHOLE or movement.failed or not movement.states:
        return 1.0
    if stage != "constraint":
        return len(movement.states) / movement.of
    partner = dict(found.alignment.pairs)
    return sum(_unlike(found, a, partner[a]) for a in movement.states) / movement.of


def _unlike(found: Comparison, old: int, new: int) -> float:
    position = first_other_set(found.old, found.new, old, new)
    length = len(found.old.path[old])
    return 1.0 if position is None or not length else 1.0 - min(position, length) / length
