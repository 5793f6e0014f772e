"""Who moved a stage: what searches over releases and upgrades found."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmark.fingerprints.comparison import EXIT_STATUSES, FingerprintDiff, Severity
from benchmark.fingerprints.stage_diffs import StageDiff
from benchmark.scoring.outcomes import MAIN

_LONGEST = 160
_TAIL = 60
"""Characters of an error that are shown, and of its end where it is longer; JSON has all."""


@dataclass(frozen=True, slots=True)
class EnvironmentDiff:
    """What two environments differ in, beyond what the processes of each do among themselves.

    ``comparison`` is that of the first processes; ``stage`` the earliest that moved beyond noise
    and chance, None where none did. ``unsteady`` has, of the two environments, those that give
    something else in another process, each with the stages that then differ. Where that casts a
    doubt, ``p`` has the p-value of each stage that was tested, over ``processes`` of each.
    """

    comparison: FingerprintDiff
    stage: str | None
    unsteady: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    p: Mapping[str, float] = field(default_factory=dict)
    processes: tuple[int, int] = (1, 1)

    @property
    def moved(self) -> bool:
        """Whether anything did, beyond noise and chance."""
        return self.stage is not None

    @property
    def extent(self) -> str:
        """Where the move begins, in how much, and what became of the answers."""
        return size(self.comparison, self.stage)

    @property
    def by_chance(self) -> bool:
        """Whether something differs, but by no more than what processes of each do."""
        return not self.moved and bool(self.p)

    @property
    def severity(self) -> Severity:
        """The comparison's, where it is not chance that it shows or hides a move."""
        if self.by_chance:
            return Severity.NOISE
        shown = self.comparison.severity
        return Severity.DRIFT if self.moved and shown.within_noise else shown

    @property
    def exit_status(self) -> int:
        """As of ``compare``."""
        return EXIT_STATUSES[self.severity]

    def as_json(self) -> dict[str, object]:
        """What is known of chance; the comparison has its own."""
        return {
            "stage": self.stage,
            "not_the_same_twice": {name: list(stages) for name, stages in self.unsteady.items()},
            "by_chance": self.by_chance,
            "permutation_test": {"p": dict(self.p), "processes": list(self.processes)}
            if self.p
            else None,
        }


@dataclass(frozen=True, slots=True)
class Step:
    """Two releases and what they differ in, and the releases in between that do not run."""

    library: str
    before: str
    after: str
    unknown: tuple[str, ...]
    difference: EnvironmentDiff

    @property
    def comparison(self) -> FingerprintDiff:
        """Of the first process of each."""
        return self.difference.comparison

    def as_json(self) -> dict[str, object]:
        """By name."""
        return {
            "library": self.library,
            "last_unmoved": self.before,
            "first_moved": self.after,
            "could_not_be_measured_between": list(self.unknown),
            **self.difference.as_json(),
            "environments": environment_differences(self.comparison),
            "comparison": self.comparison.as_json(),
        }


@dataclass(frozen=True, slots=True)
class Bisection:
    """What a search found.

    ``steps`` are the moves in order; ``rest`` is what moved after the last of them, where the
    search ended at the first. ``chances`` are the pairs on the way that differ by chance only.
    """

    library: str
    releases: tuple[str, ...]
    measured: tuple[str, ...]
    skipped: dict[str, str]
    ends: tuple[str, str]
    steps: tuple[Step, ...]
    rest: EnvironmentDiff | None
    chances: tuple[Step, ...] = ()

    @property
    def exit_status(self) -> int:
        """That of the first move; 0 where nothing moved."""
        return self.steps[0].difference.exit_status if self.steps else 0

    def as_json(self) -> dict[str, object]:
        """By name."""
        return {
            "library": self.library,
            "from": self.ends[0],
            "to": self.ends[1],
            "releases": list(self.releases),
            "measured": list(self.measured),
            "skipped": self.skipped,
            "steps": [step.as_json() for step in self.steps],
            "moved_since": self.rest.comparison.as_json() if self.rest else None,
            "by_chance_only": [
                {"releases": [step.before, step.after], **step.difference.as_json()}
                for step in self.chances
            ],
        }


@dataclass(frozen=True, slots=True)
class Trial:
    """One probe under all upgrades together.

    ``difference`` is None where it could not be measured, for ``reason``; ``culprits`` are the
    upgrades that move it alone, or the pairs, or the set that only does so together. Where it could
    not be measured they are those with which it cannot, and ``movers`` what others move alone.
    """

    probe: str
    difference: EnvironmentDiff | None
    culprits: tuple[tuple[str, ...], ...] = ()
    reason: str | None = None
    movers: tuple[str, ...] = ()

    @property
    def comparison(self) -> FingerprintDiff | None:
        """Of the first processes, with the upgrades and without."""
        return self.difference.comparison if self.difference else None

    @property
    def moved(self) -> bool:
        """Whether anything moved beyond noise and chance."""
        return self.difference is not None and self.difference.moved

    @property
    def severity(self) -> Severity:
        """The difference's; what does not run with the upgrades is a regression."""
        return self.difference.severity if self.difference else Severity.REGRESSION

    def as_json(self) -> dict[str, object]:
        """By name."""
        found = self.comparison
        return {
            "probe": self.probe,
            "severity": self.severity.value,
            "reason": self.reason,
            "culprits": [list(each) for each in self.culprits],
            "moves_alone": list(self.movers),
            "shift": self.difference.extent if self.difference and self.moved else None,
            "chance": self.difference.as_json() if self.difference else None,
            "environments": environment_differences(found) if found else {},
            "comparison": found.as_json() if found else None,
        }


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """The tests under the upgrades: how many passed, and which failed with the line that says why.

    ``ended`` says why they did not run to their end, or how they ended badly without a failed test.
    """

    passed: int = 0
    failed: tuple[tuple[str, str], ...] = ()
    ended: str | None = None

    @property
    def exit_status(self) -> int:
        """1 where anything failed, else 0."""
        return int(bool(self.failed or self.ended))

    def as_json(self) -> dict[str, object]:
        """By name."""
        return {"passed": self.passed, "failed": dict(self.failed), "ended": self.ended}


@dataclass(frozen=True, slots=True)
class Canary:
    """All probes under the upgrades, and the suite where it was asked for.

    ``left_out`` are probes that could not be tried, each with the reason.
    """

    upgrades: tuple[str, ...]
    trials: tuple[Trial, ...]
    refused: dict[str, str] = field(default_factory=dict)
    suite: SuiteResult | None = None
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def exit_status(self) -> int:
        """The worst of the trials'; where nothing moved in them, the suite's."""
        moved = max((EXIT_STATUSES[trial.severity] for trial in self.trials), default=0)
        return moved or (self.suite.exit_status if self.suite else 0)

    def as_json(self) -> dict[str, object]:
        """By name."""
        return {
            "upgrades": list(self.upgrades),
            "exit_status": self.exit_status,
            "refused": self.refused,
            "left_out": self.left_out,
            "trials": [trial.as_json() for trial in self.trials],
            "suite": self.suite.as_json() if self.suite else None,
        }


def summary(found: EnvironmentDiff, old: str) -> str:
    """A difference in one line."""
    if found.by_chance:
        return f"differs from {old} by chance only: {chances(found)}"
    return f"moved: {found.extent}" if found.moved else f"as {old}"


def chances(found: EnvironmentDiff) -> str:
    """The test of what differs from process to process."""
    tests = ", ".join(f"{stage}: p = {p:.2g}" for stage, p in found.p.items())
    return f"{tests} over {found.processes[0]} and {found.processes[1]} processes"


def size(comparison: FingerprintDiff, stage: str | None = None) -> str:
    """The earliest stage that moved, or another, in how much, and what became of the answers."""
    wanted = stage or comparison.stage
    if wanted is None:
        return f"{comparison.alignment.lost} states are gone"
    first = next((each for each in comparison.moved if each.stage == wanted), None)
    # Of a stage that is told by its chances the first processes may happen to be alike.
    parts = [f"{wanted}, {_extent(first) if first else 'in other processes'}"]
    if comparison.largest:
        parts.append(f"log-probabilities by up to {comparison.largest:.3g}")
    if comparison.changes:
        parts.append(f"{len(comparison.changes)} answers")
    for by in comparison.turned_scores:
        gained = sum(flip.gained for flip in comparison.all_flips[by])
        words = f"{gained} queries gained and {len(comparison.all_flips[by]) - gained} lost"
        parts.append(words if by == MAIN else f"{words} by {by}")
    return "; ".join(parts)


def later(found: EnvironmentDiff) -> dict[str, str]:
    """The stages after the one at which a move begins that moved too, each in how much."""
    stages = [each.stage for each in found.comparison.moved]
    start = stages.index(found.stage) + 1 if found.stage in stages else len(stages)
    return {each.stage: _extent(each) for each in found.comparison.moved[start:]}


def _extent(stage_diff: StageDiff) -> str:
    if stage_diff.failed:
        # What is said first and where it was said; an expression in between may be pages long.
        line = stage_diff.failed
        return (
            line
            if len(line) <= _LONGEST
            else f"{line[: _LONGEST // 2].rstrip()} ... {line[-_TAIL:].lstrip()}"
        )
    return f"in {len(stage_diff.states)} of {stage_diff.of}"


def environment_differences(
    comparison: FingerprintDiff,
) -> dict[str, tuple[str | None, str | None]]:
    """The libraries and settings that differ, likeliest first, old and new."""
    return {s.name: (s.old, s.new) for s in comparison.suspects if s.changed}
