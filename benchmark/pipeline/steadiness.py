"""Environments that do not give the same twice, and whether two of them differ all the same."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmark.pipeline.probes import UnmeasurableError, Workbench
from benchmark.regression.chance import chance
from benchmark.regression.comparison import compare
from benchmark.regression.culprits import Difference
from benchmark.regression.record import Record
from benchmark.regression.stages import STAGES

PROCESSES = 7
"""Of each environment, where one does not give the same twice: two of 3,432 ways to split them
leave them as they are, so p can be as small as 0.0006."""
LEVEL = 0.01
"""Of the test, over all stages that are tested (Bonferroni)."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The record of a first process in an environment, and the libraries that make it."""

    name: str
    requirements: tuple[str, ...]
    record: Record


@dataclass
class Steadiness:
    """What is known of how steady environments are, and what tells two of them apart.

    ``unsteady`` are the stages in which a second process differs, by the environment's name;
    ``library`` is that of which the names are releases, where they are.
    """

    bench: Workbench
    library: str = ""
    unsteady: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _found: dict[tuple[str, str], Difference] = field(default_factory=dict)
    _processes: dict[str, list[Record]] = field(default_factory=dict)

    def look(self, environment: Measured) -> bool:
        """Measure it in a second process; whether it is found to be unsteady only now.

        Raises:
            UnmeasurableError: when the process ends without a record.
        """
        second = self.bench.again(environment.requirements)
        stages = tuple(each.stage for each in compare(environment.record, second).moved)
        if not stages or environment.name in self.unsteady:
            return False
        self.unsteady[environment.name] = stages
        self._found.clear()  # what was taken for certain is not any more
        return True

    @property
    def by_chance(self) -> dict[tuple[str, str], Difference]:
        """The pairs that were found to differ by no more than their own processes."""
        return {names: found for names, found in self._found.items() if found.by_chance}

    def difference(self, old: Measured, new: Measured) -> Difference:
        """What two environments differ in, beyond what their own processes do."""
        names = old.name, new.name
        if names not in self._found:
            self._found[names] = self._difference(old, new)
        return self._found[names]

    def _difference(self, old: Measured, new: Measured) -> Difference:
        found = compare(old.record, new.record)
        ends = {
            each.name: self.unsteady[each.name] for each in (old, new) if each.name in self.unsteady
        }
        moved = tuple(each.stage for each in found.moved)
        doubtful = _from(min((s[0] for s in ends.values()), key=STAGES.index, default=None))
        certain = next((stage for stage in moved if stage not in doubtful), None)
        if certain or not ends:
            return Difference(found, certain, ends)
        tested = [s for s in STAGES if s in moved or any(s in e for e in ends.values())]
        records = self._records(old), self._records(new)
        p = chance(*records, tested)
        proved = next((stage for stage in tested if p[stage] <= LEVEL / len(tested)), None)
        counts = len(records[0]), len(records[1])
        return Difference(found, proved, ends, _rounded(p), counts)

    def _records(self, environment: Measured) -> list[Record]:
        """One a process; a process that ends without is left out."""
        if environment.name in self._processes:
            return self._processes[environment.name]
        self._tell(environment, f"measured in {PROCESSES} processes, to tell chance from a move")
        records = self._processes[environment.name] = [environment.record]
        for turn in range(2, PROCESSES + 1):
            try:
                records.append(self.bench.again(environment.requirements, turn))
            except UnmeasurableError as error:
                self._tell(environment, f"process {turn} gives no record: {error}")
        return records

    def _tell(self, environment: Measured, what: str) -> None:
        name = f"{self.library} {environment.name:<10}" if self.library else f"{environment.name}:"
        self.bench.say(f"{name} {what}")


def _from(stage: str | None) -> tuple[str, ...]:
    """A stage and all after it, which its chances reach."""
    return STAGES[STAGES.index(stage) :] if stage else ()


def _rounded(p: Mapping[str, float]) -> dict[str, float]:
    return {stage: round(value, 4) for stage, value in p.items()}
