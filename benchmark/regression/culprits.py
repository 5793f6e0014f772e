"""Who moved a stage: what searches over releases and upgrades found."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmark.regression.verdict import EXIT_STATUSES, Comparison, Severity


@dataclass(frozen=True, slots=True)
class Step:
    """A move between two releases, what moved, and the releases in between that do not run.

    ``unsteady`` are those of the two that give something else in a second process, each with the
    stages that then differ.
    """

    library: str
    before: str
    after: str
    unknown: tuple[str, ...]
    comparison: Comparison
    unsteady: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def chance(self) -> tuple[str, ...]:
        """The unsteady releases at the stage where the move begins: it may be no move there."""
        stage = self.comparison.stage
        return tuple(name for name, stages in self.unsteady.items() if stage in stages)

    def as_json(self) -> dict[str, object]:
        """By name."""
        return {
            "library": self.library,
            "last_unmoved": self.before,
            "first_moved": self.after,
            "could_not_be_measured_between": list(self.unknown),
            "not_the_same_twice": {name: list(stages) for name, stages in self.unsteady.items()},
            "may_be_chance": bool(self.chance),
            "environments": environment_differences(self.comparison),
            "comparison": self.comparison.as_json(),
        }


@dataclass(frozen=True, slots=True)
class Bisection:
    """What a search found.

    ``steps`` are the moves in order; ``rest`` is what moved after the last of them, where the
    search ended at the first.
    """

    library: str
    releases: tuple[str, ...]
    measured: tuple[str, ...]
    skipped: dict[str, str]
    ends: tuple[str, str]
    steps: tuple[Step, ...]
    rest: Comparison | None

    @property
    def exit_status(self) -> int:
        """That of the first move's comparison; 0 where nothing moved."""
        return self.steps[0].comparison.exit_status if self.steps else 0

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
            "moved_since": self.rest.as_json() if self.rest else None,
        }


@dataclass(frozen=True, slots=True)
class Trial:
    """One probe under all upgrades together.

    ``comparison`` is None where it could not be measured, for ``reason``; ``culprits`` are the
    upgrades that move it alone, or the pairs, or the set that only does so together. Where it could
    not be measured they are those with which it cannot, and ``movers`` what others move alone.
    """

    probe: str
    comparison: Comparison | None
    culprits: tuple[tuple[str, ...], ...] = ()
    reason: str | None = None
    movers: tuple[str, ...] = ()

    @property
    def moved(self) -> bool:
        """Whether anything moved beyond noise."""
        return self.comparison is not None and not self.comparison.severity.within_noise

    @property
    def severity(self) -> Severity:
        """The comparison's; what does not run with the upgrades is a regression."""
        return self.comparison.severity if self.comparison else Severity.REGRESSION

    def as_json(self) -> dict[str, object]:
        """By name."""
        found = self.comparison
        return {
            "probe": self.probe,
            "severity": self.severity.value,
            "reason": self.reason,
            "culprits": [list(each) for each in self.culprits],
            "moves_alone": list(self.movers),
            "shift": size(found) if found and self.moved else None,
            "environments": environment_differences(found) if found else {},
            "comparison": found.as_json() if found else None,
        }


@dataclass(frozen=True, slots=True)
class Suite:
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
    """All probes under the upgrades, and the suite where it was asked for."""

    upgrades: tuple[str, ...]
    trials: tuple[Trial, ...]
    refused: dict[str, str] = field(default_factory=dict)
    suite: Suite | None = None

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
            "trials": [trial.as_json() for trial in self.trials],
            "suite": self.suite.as_json() if self.suite else None,
        }


def summary(comparison: Comparison, old: str) -> str:
    """A comparison in one line."""
    if comparison.severity.within_noise:
        return f"as {old}"
    return f"moved: {size(comparison)}"


def size(comparison: Comparison) -> str:
    """The earliest stage that moved, in how much, and what became of the answers."""
    if not comparison.moved:
        return f"{comparison.alignment.lost} states are gone"
    first = comparison.moved[0]
    gained = sum(flip.gained for flip in comparison.flips)
    lost = len(comparison.flips) - gained
    parts = [f"{first.stage}, {first.failed or f'in {len(first.states)} of {first.of}'}"]
    if comparison.largest:
        parts.append(f"log-probabilities by up to {comparison.largest:.3g}")
    if comparison.changes:
        parts.append(f"{len(comparison.changes)} answers")
    if comparison.flips:
        parts.append(f"{gained} queries gained and {lost} lost")
    return "; ".join(parts)


def environment_differences(comparison: Comparison) -> dict[str, tuple[str | None, str | None]]:
    """The libraries and settings that differ, likeliest first, old and new."""
    return {s.name: (s.old, s.new) for s in comparison.suspects if s.changed}
