"""Test whether two environments differ, given records of several processes in each."""

from collections.abc import Sequence

import numpy as np

from benchmark.fingerprints.compare import compare
from benchmark.fingerprints.comparison import FingerprintDiff
from benchmark.fingerprints.record import Fingerprint
from benchmark.fingerprints.stages import STAGES
from benchmark.stats.permutation import permutation_test


def p_values(
    old: Sequence[Fingerprint], new: Sequence[Fingerprint], stages: Sequence[str]
) -> dict[str, float]:
    """Return the p-value of each stage, under the hypothesis that old and new records agree.

    Args:
        old: records of processes in one environment, at least one.
        new: records of processes in the other environment, at least one.
        stages: the stages to test, each by
            :func:`benchmark.stats.permutation.permutation_test`.
    """
    records = [*old, *new]
    distances = {stage: np.zeros((len(records), len(records))) for stage in stages}
    for a, one in enumerate(records):
        for b in range(a):
            comparison = compare(one, records[b])
            for stage in stages:
                distances[stage][a, b] = distances[stage][b, a] = distance(comparison, stage)
    return {stage: permutation_test(distances[stage], len(old)) for stage in stages}


def distance(comparison: FingerprintDiff, stage: str) -> float:
    """Return the distance of two records at a stage, from 0 (equal) to 1.

    It is the summed distance of the states that differ beyond the noise floor, divided by the
    number of states. A state counts as 1 unless the stage has a ``distance`` of its own.
    """
    stage_diff = next((diff for diff in comparison.changed if diff.stage == stage), None)
    if stage_diff is None:
        return 0.0
    row = STAGES[stage]
    if row.whole or stage_diff.failed or not stage_diff.states:
        return 1.0
    partner = dict(comparison.alignment.pairs)
    distances = (
        row.distance(comparison.old, comparison.new, state, partner[state])
        for state in stage_diff.states
    )
    return sum(distances) / stage_diff.of
