"""Environments that do not give the same twice, and whether two of them differ all the same."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmark.fingerprints.compare import compare
from benchmark.fingerprints.record import Fingerprint
from benchmark.fingerprints.stages import STAGES, place
from benchmark.upgrades.findings import EnvironmentDiff
from benchmark.upgrades.probes import UnmeasurableError, Workbench
from benchmark.upgrades.significance import chance

ALIKE = 5
"""Processes of each end of a move: where all of one end agree and all of the other, that is what
chance does in two of 252 ways to split them at most."""
PROCESSES = 7
"""Of each environment, where one does not give the same twice: two of 3,432 ways to split them
leave them as they are, so p can be as small as 0.0006."""
LEVEL = 0.01
"""Of the test, over all stages that are tested (Bonferroni)."""


@dataclass(frozen=True, slots=True)
class MeasuredEnvironment:
    """The record of a first process in an environment, and the libraries that make it."""

    name: str
    requirements: tuple[str, ...]
    record: Fingerprint


@dataclass
class Flakiness:
    """What is known of how steady environments are, and what tells two of them apart.

    ``unsteady`` are the stages in which another process differs, by the environment's name;
    ``library`` is that of which the names are releases, where they are.
    """

    bench: Workbench
    library: str = ""
    unsteady: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _found: dict[tuple[str, str], EnvironmentDiff] = field(default_factory=dict)
    _processes: dict[str, list[Fingerprint]] = field(default_factory=dict)
    _turns: dict[str, int] = field(default_factory=dict)
    _looked: set[str] = field(default_factory=set)

    def look(self, environment: MeasuredEnvironment) -> bool:
        """Measure it in other processes; whether it is found to be unsteady only now.

        Raises:
            UnmeasurableError: when the second process ends without a record.
        """
        if environment.name in self._looked:
            return False
        self.bench.again(environment.requirements)
        records = self._run(environment, ALIKE)
        self._looked.add(environment.name)
        moved = {each.stage for other in records[1:] for each in compare(records[0], other).moved}
        self._found.clear()  # what is known of these ends is more than it was
        if not moved:
            return False
        self.unsteady[environment.name] = tuple(stage for stage in STAGES if stage in moved)
        return True

    @property
    def by_chance(self) -> dict[tuple[str, str], EnvironmentDiff]:
        """The pairs that were found to differ by no more than their own processes."""
        return {names: found for names, found in self._found.items() if found.by_chance}

    def difference(self, old: MeasuredEnvironment, new: MeasuredEnvironment) -> EnvironmentDiff:
        """What two environments differ in, beyond what their own processes do."""
        names = old.name, new.name
        if names not in self._found:
            self._found[names] = self._difference(old, new)
        return self._found[names]

    def _difference(self, old: MeasuredEnvironment, new: MeasuredEnvironment) -> EnvironmentDiff:
        found = compare(old.record, new.record)
        ends = {
            each.name: self.unsteady[each.name] for each in (old, new) if each.name in self.unsteady
        }
        moved = tuple(each.stage for each in found.moved)
        doubtful = _from(min((s[0] for s in ends.values()), key=place, default=None))
        certain = next((stage for stage in moved if stage not in doubtful), None)
        if certain or not ends:
            return EnvironmentDiff(
                found, certain, ends, processes=(self._known(old), self._known(new))
            )
        tested = [s for s in STAGES if s in moved or any(s in e for e in ends.values())]
        records = self._run(old, PROCESSES), self._run(new, PROCESSES)
        p = chance(*records, tested)
        proved = next((stage for stage in tested if p[stage] <= LEVEL / len(tested)), None)
        return EnvironmentDiff(
            found, proved, ends, _rounded(p), (self._known(old), self._known(new))
        )

    def _known(self, environment: MeasuredEnvironment) -> int:
        return len(self._processes.get(environment.name, (environment.record,)))

    def _run(self, environment: MeasuredEnvironment, processes: int) -> list[Fingerprint]:
        """So many records of it, one a process; a process that ends without is left out."""
        name = environment.name
        records = self._processes.setdefault(name, [environment.record])
        for turn in range(self._turns.get(name, 1) + 1, processes + 1):
            self._turns[name] = turn
            try:
                records.append(self.bench.again(environment.requirements, turn))
            except UnmeasurableError as error:
                self._tell(environment, f"process {turn} gives no record: {error}")
        return records

    def _tell(self, environment: MeasuredEnvironment, what: str) -> None:
        name = f"{self.library} {environment.name:<10}" if self.library else f"{environment.name}:"
        self.bench.say(f"{name} {what}")


def _from(stage: str | None) -> tuple[str, ...]:
    """A stage and all after it, which its chances reach."""
    return tuple(STAGES)[place(stage) :] if stage else ()


def _rounded(p: Mapping[str, float]) -> dict[str, float]:
    return {stage: round(value, 4) for stage, value in p.items()}
