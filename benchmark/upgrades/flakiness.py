"""Detect environments whose processes differ, and test whether two of them differ anyway."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmark.fingerprints.compare import compare
from benchmark.fingerprints.comparison import FingerprintDiff
from benchmark.fingerprints.record import Fingerprint
from benchmark.fingerprints.stages import STAGES, stage_index
from benchmark.stats.decision import Decision, Effect, difference
from benchmark.stats.permutation import permutation_test
from benchmark.stats.points import DISTANCE
from benchmark.upgrades.environment_diff import EnvironmentDiff
from benchmark.upgrades.workbench import UnmeasurableError, Workbench

CONFIRMING_PROCESSES = 5
"""Processes measured at each end of a change.

If five of one end agree with each other, and five of the other, chance explains that in at most 2
of the 252 ways to split ten processes.
"""
TESTED_PROCESSES = 7
"""Processes measured in each environment if one of them is not deterministic.

2 of the 3,432 ways to split them keep the two groups, so the smallest possible p is 0.0006.
"""
FLAKY_LEVEL = 0.01
"""The level of the test, over all tested stages (Bonferroni)."""


@dataclass(frozen=True, slots=True)
class MeasuredEnvironment:
    """An environment's name, its requirements, and the record of its first process."""

    name: str
    requirements: tuple[str, ...]
    record: Fingerprint


@dataclass
class Flakiness:
    """Compare environments, taking differences between their own processes into account.

    Attributes:
        bench: makes the records.
        library: the library whose releases the environments are named after; empty if none.
        nondeterministic: the stages in which an environment's processes differ, by its name.
    """

    bench: Workbench
    library: str = ""
    nondeterministic: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _differences: dict[tuple[str, str], EnvironmentDiff] = field(default_factory=dict)
    _processes: dict[str, list[Fingerprint]] = field(default_factory=dict)
    _last_process: dict[str, int] = field(default_factory=dict)
    _remeasured: set[str] = field(default_factory=set)

    def remeasure(self, environment: MeasuredEnvironment) -> bool:
        """Measure an environment in more processes; return whether they newly prove to differ.

        Raises:
            UnmeasurableError: if the second process ends without a record.
        """
        if environment.name in self._remeasured:
            return False
        self.bench.record_again(environment.requirements)
        records = self._records(environment, CONFIRMING_PROCESSES)
        self._remeasured.add(environment.name)
        differing = {
            diff.stage for other in records[1:] for diff in compare(records[0], other).changed
        }
        self._differences.clear()  # they were computed from fewer processes
        if not differing:
            return False
        self.nondeterministic[environment.name] = tuple(s for s in STAGES if s in differing)
        return True

    @property
    def insignificant(self) -> dict[tuple[str, str], EnvironmentDiff]:
        """The tested pairs of environments that do not differ significantly."""
        return {names: diff for names, diff in self._differences.items() if diff.insignificant}

    def difference(self, old: MeasuredEnvironment, new: MeasuredEnvironment) -> EnvironmentDiff:
        """Return the difference of two environments, beyond that of their own processes."""
        names = old.name, new.name
        if names not in self._differences:
            self._differences[names] = self._difference(old, new)
        return self._differences[names]

    def _difference(self, old: MeasuredEnvironment, new: MeasuredEnvironment) -> EnvironmentDiff:
        comparison = compare(old.record, new.record)
        flaky = {
            environment.name: self.nondeterministic[environment.name]
            for environment in (old, new)
            if environment.name in self.nondeterministic
        }
        changed = tuple(diff.stage for diff in comparison.changed)
        doubtful = _from(min((s[0] for s in flaky.values()), key=stage_index, default=None))
        certain = next((stage for stage in changed if stage not in doubtful), None)
        if certain or not flaky:
            return EnvironmentDiff(
                comparison, certain, flaky, processes=(self._count(old), self._count(new))
            )
        tested = [s for s in STAGES if s in changed or any(s in names for names in flaky.values())]
        records = self._records(old, TESTED_PROCESSES), self._records(new, TESTED_PROCESSES)
        decisions = stage_decisions(*records, tested, FLAKY_LEVEL / len(tested))
        significant = next((s for s in tested if decisions[s].verdict == "supported"), None)
        processes = self._count(old), self._count(new)
        return EnvironmentDiff(comparison, significant, flaky, decisions, processes)

    def _count(self, environment: MeasuredEnvironment) -> int:
        return len(self._processes.get(environment.name, (environment.record,)))

    def _records(self, environment: MeasuredEnvironment, processes: int) -> list[Fingerprint]:
        """Return up to that many records, one per process; a process that fails has none."""
        name = environment.name
        records = self._processes.setdefault(name, [environment.record])
        for process in range(self._last_process.get(name, 1) + 1, processes + 1):
            self._last_process[name] = process
            try:
                records.append(self.bench.record_again(environment.requirements, process))
            except UnmeasurableError as error:
                self._report(environment, f"process {process} made no record: {error}")
        return records

    def _report(self, environment: MeasuredEnvironment, line: str) -> None:
        name = f"{self.library} {environment.name:<10}" if self.library else f"{environment.name}:"
        self.bench.say(f"{name} {line}")


def _from(stage: str | None) -> tuple[str, ...]:
    """Return a stage and all later ones, which it affects."""
    return tuple(STAGES)[stage_index(stage) :] if stage else ()


def stage_decisions(
    old: Sequence[Fingerprint], new: Sequence[Fingerprint], stages: Sequence[str], level: float
) -> dict[str, Decision]:
    """Decide by stage whether old and new records differ, from their mean distance.

    Args:
        old: records of processes in one environment, at least one.
        new: records of processes in the other environment, at least one.
        stages: the stages to test, each by
            :func:`benchmark.stats.permutation.permutation_test`.
        level: the level of each test.
    """
    records, first = [*old, *new], len(old)
    distances = {stage: np.zeros((len(records), len(records))) for stage in stages}
    for a, one in enumerate(records):
        for b in range(a):
            comparison = compare(one, records[b])
            for stage in stages:
                distances[stage][a, b] = distances[stage][b, a] = distance(comparison, stage)
    return {
        stage: difference(
            Effect(
                float(matrix[:first, first:].mean()),
                None,
                "a permutation test has none",
                no_detectable="unknown, a permutation test does not say",
                unit=DISTANCE,
            ),
            permutation_test(matrix, first),
            level,
        )
        for stage, matrix in distances.items()
    }


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
