"""Who moved a stage: what searches over releases and upgrades found."""

from dataclasses import dataclass

from benchmark.regression.verdict import Comparison, Severity

UNMOVED = (Severity.SAME, Severity.NOISE)


@dataclass(frozen=True, slots=True)
class Step:
    """A move between two releases, what moved, and the releases in between that do not run."""

    library: str
    before: str
    after: str
    unknown: tuple[str, ...]
    comparison: Comparison

    def as_json(self) -> dict[str, object]:
        """By name."""
        return {
            "library": self.library,
            "last_unmoved": self.before,
            "first_moved": self.after,
            "could_not_be_measured_between": list(self.unknown),
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


def summary(comparison: Comparison, old: str) -> str:
    """A comparison in one line."""
    if comparison.severity in UNMOVED:
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
