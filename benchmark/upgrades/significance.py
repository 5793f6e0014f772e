"""Records of several processes in each of two environments: whether they differ beyond chance."""

from collections.abc import Sequence

import numpy as np

from benchmark.fingerprints.compare import compare
from benchmark.fingerprints.comparison import FingerprintDiff
from benchmark.fingerprints.record import Fingerprint
from benchmark.fingerprints.stages import STAGES
from benchmark.stats.permutation import permutation_test


def chance(
    old: Sequence[Fingerprint], new: Sequence[Fingerprint], stages: Sequence[str]
) -> dict[str, float]:
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


def distance(found: FingerprintDiff, stage: str) -> float:
    """Return how far two records are apart at a stage, from 0 for alike to 1.

    It is the sum of the distances of the states that differ beyond noise, of all states; each
    counts as 1 unless the stage has a ``distance`` of its own.
    """
    stage_diff = next((each for each in found.moved if each.stage == stage), None)
    if stage_diff is None:
        return 0.0
    row = STAGES[stage]
    if row.whole or stage_diff.failed or not stage_diff.states:
        return 1.0
    partner = dict(found.alignment.pairs)
    apart = (row.distance(found.old, found.new, one, partner[one]) for one in stage_diff.states)
    return sum(apart) / stage_diff.of
