"""The difference between two environments, and its description in words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from benchmark.fingerprints.comparison import EXIT_STATUSES, FingerprintDiff, Severity
from benchmark.fingerprints.stage_diffs import StageDiff
from benchmark.scoring.outcomes import MAIN
from benchmark.stats.decision import Decision

_LONGEST = 160
"""The number of characters of an error that are shown; JSON has all of them."""
_TAIL = 60
"""The number of characters kept from the end of an error that is too long."""


class ChangeKind(StrEnum):
    """What happens to the first changed stage."""

    CHANGED = "changed"
    FAILS = "fails"
    WORKS = "works"


@dataclass(frozen=True, slots=True)
class EnvironmentDiff:
    """The difference between two environments.

    Attributes:
        comparison: the first process of one environment compared with that of the other.
        stage: the earliest stage that changed beyond the noise floor and, where processes of one
            environment differ among themselves, significantly; None if no stage did.
        nondeterministic: the stages in which processes of one environment differ, by its name.
        decisions: on each stage that was tested; empty if no test was needed.
        processes: the number of processes measured in each environment.
    """

    comparison: FingerprintDiff
    stage: str | None
    nondeterministic: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    decisions: Mapping[str, Decision] = field(default_factory=dict)
    processes: tuple[int, int] = (1, 1)

    @property
    def p(self) -> dict[str, float]:
        """The p-value of each stage that was tested."""
        return {stage: round(decision.p, 4) for stage, decision in self.decisions.items()}

    @property
    def changed(self) -> bool:
        """Whether a stage changed."""
        return self.stage is not None

    @property
    def extent(self) -> str:
        """The first changed stage, how much of it changed, and the effect on the answers."""
        return extent(self.comparison, self.stage)

    @property
    def kind(self) -> ChangeKind | None:
        """Whether the first changed stage fails in one of the environments; None if none changed.

        If its first processes agree, they fail in neither.
        """
        if self.stage is None:
            return None
        diff = next((d for d in self.comparison.changed if d.stage == self.stage), None)
        old = self.comparison.old.stages.get(self.stage)
        if diff is not None and diff.failed:
            return ChangeKind.FAILS
        return (
            ChangeKind.WORKS
            if diff is not None and old and old.failed_as_a_whole
            else ChangeKind.CHANGED
        )

    @property
    def insignificant(self) -> bool:
        """Whether stages were tested, and none differs significantly."""
        return not self.changed and bool(self.decisions)

    @property
    def severity(self) -> Severity:
        """The severity of the comparison, corrected by the significance test."""
        if self.insignificant:
            return Severity.NOISE
        shown = self.comparison.severity
        return Severity.DRIFT if self.changed and shown.within_noise else shown

    @property
    def exit_status(self) -> int:
        """The exit status, as for `compare`."""
        return EXIT_STATUSES[self.severity]

    def as_json(self) -> dict[str, object]:
        """Return the stage and the test; the comparison has its own JSON."""
        return {
            "stage": self.stage,
            "kind": self.kind.value if self.kind else None,
            "not_the_same_twice": {
                name: list(stages) for name, stages in self.nondeterministic.items()
            },
            "by_chance": self.insignificant,
            "permutation_test": {
                "p": dict(self.p),
                "processes": list(self.processes),
                "decisions": {stage: one.as_json() for stage, one in self.decisions.items()},
            }
            if self.p
            else None,
        }


def difference_summary(difference: EnvironmentDiff, old: str) -> str:
    """Return a difference from the environment called ``old`` in one line."""
    if difference.insignificant:
        return f"no significant difference from {old} ({significance_text(difference)})"
    if difference.kind is ChangeKind.FAILS:
        return difference.extent
    return f"changed: {difference.extent}" if difference.changed else f"same as {old}"


def significance_text(difference: EnvironmentDiff) -> str:
    """Return p-values of the tested stages, the level if several, and the number of processes."""
    tests = ", ".join(f"{stage}: p = {p:.2g}" for stage, p in difference.p.items())
    if len(difference.decisions) > 1:
        level = max(decision.level for decision in difference.decisions.values())
        tests += f" (each at level {level:.2g}, by Bonferroni)"
    return "{}; {} and {} processes".format(tests, *difference.processes)


def extent(comparison: FingerprintDiff, stage: str | None = None) -> str:
    """Return a stage, how much of it changed, and the effect on the answers.

    ``stage`` is the one to describe, by default the first changed one.
    """
    name = stage or comparison.stage
    if name is None:
        return f"{comparison.alignment.lost} states missing"
    first = next((diff for diff in comparison.changed if diff.stage == name), None)
    # A stage that differs between processes may agree in the first process of each environment.
    parts = [stage_extent(first) if first else f"{name}, in later processes"]
    if comparison.largest:
        parts.append(f"log-probabilities by up to {comparison.largest:.3g}")
    if comparison.answer_changes:
        parts.append(f"{len(comparison.answer_changes)} answers")
    for by in comparison.flipped_scores:
        gained = sum(flip.gained for flip in comparison.all_flips[by])
        words = f"{gained} queries gained and {len(comparison.all_flips[by]) - gained} lost"
        parts.append(words if by == MAIN else f"{words} by {by}")
    return "; ".join(parts)


def later_stages(difference: EnvironmentDiff) -> list[str]:
    """Return the extents of the changed stages after the first one."""
    changed = difference.comparison.changed
    names = [diff.stage for diff in changed]
    start = names.index(difference.stage) + 1 if difference.stage in names else len(names)
    return [stage_extent(diff) for diff in changed[start:]]


def stage_extent(stage_diff: StageDiff) -> str:
    """Return a stage with the number of states that differ, or with its error."""
    count = f"{len(stage_diff.states)} of {stage_diff.of}"
    if stage_diff.failed is None:
        return f"{stage_diff.stage}, {count}"
    line = stage_diff.failed
    if len(line) > _LONGEST:
        # Keep the beginning, which has the error, and the end, which has its source line.
        line = f"{line[: _LONGEST // 2].rstrip()} ... {line[-_TAIL:].lstrip()}"
    share = "" if len(stage_diff.states) == stage_diff.of else f" in {count}"
    return f"{stage_diff.stage} fails{share}: {line}"


def environment_differences(
    comparison: FingerprintDiff,
) -> dict[str, tuple[str | None, str | None]]:
    """Return the libraries and settings that differ, the likeliest cause first: (old, new)."""
    return {s.name: (s.old, s.new) for s in comparison.suspects if s.changed}
