"""Results of `bisect` and `canary`: which release or upgrade changed a stage."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from benchmark.fingerprints.comparison import EXIT_STATUSES, FingerprintDiff, Severity
from benchmark.fingerprints.stage_diffs import StageDiff
from benchmark.scoring.outcomes import MAIN

_LONGEST = 160
"""The number of characters of an error that are shown; JSON has all of them."""
_TAIL = 60
"""The number of characters kept from the end of an error that is too long."""


class Kind(StrEnum):
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
        p: the p-value of each stage that was tested; empty if no test was needed.
        processes: the number of processes measured in each environment.
    """

    comparison: FingerprintDiff
    stage: str | None
    nondeterministic: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    p: Mapping[str, float] = field(default_factory=dict)
    processes: tuple[int, int] = (1, 1)

    @property
    def changed(self) -> bool:
        """Whether a stage changed."""
        return self.stage is not None

    @property
    def extent(self) -> str:
        """The first changed stage, how much of it changed, and the effect on the answers."""
        return extent(self.comparison, self.stage)

    @property
    def kind(self) -> Kind | None:
        """Whether the first changed stage fails in one of the environments; None if none changed.

        If its first processes agree, they fail in neither.
        """
        if self.stage is None:
            return None
        diff = next((d for d in self.comparison.changed if d.stage == self.stage), None)
        old = self.comparison.old.stages.get(self.stage)
        if diff is not None and diff.failed:
            return Kind.FAILS
        return Kind.WORKS if diff is not None and old and old.failed_as_a_whole else Kind.CHANGED

    @property
    def insignificant(self) -> bool:
        """Whether stages were tested, and none differs significantly."""
        return not self.changed and bool(self.p)

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
            "permutation_test": {"p": dict(self.p), "processes": list(self.processes)}
            if self.p
            else None,
        }


@dataclass(frozen=True, slots=True)
class ReleaseChange:
    """Two releases that differ, with no measurable release between them.

    ``unmeasured`` are the releases between the two that could not be measured.
    """

    library: str
    before: str
    after: str
    unmeasured: tuple[str, ...]
    difference: EnvironmentDiff

    @property
    def comparison(self) -> FingerprintDiff:
        """The first process of each release, compared."""
        return self.difference.comparison

    def as_json(self) -> dict[str, object]:
        """Return all fields by name."""
        return {
            "library": self.library,
            "last_unmoved": self.before,
            "first_moved": self.after,
            "could_not_be_measured_between": list(self.unmeasured),
            **self.difference.as_json(),
            "environments": environment_differences(self.comparison),
            "comparison": self.comparison.as_json(),
        }


@dataclass(frozen=True, slots=True)
class BisectionResult:
    """The result of a search over releases.

    Attributes:
        library: the library that was searched.
        releases: all releases in the range.
        measured: those that were measured.
        skipped: those that could not be measured, each with the reason.
        ends: the oldest and the newest release that could be measured.
        changes: the changes, oldest first.
        rest: what the newest release changed after the first change, if the search ended there.
        insignificant: pairs of releases that differ, but not significantly.
    """

    library: str
    releases: tuple[str, ...]
    measured: tuple[str, ...]
    skipped: dict[str, str]
    ends: tuple[str, str]
    changes: tuple[ReleaseChange, ...]
    rest: EnvironmentDiff | None
    insignificant: tuple[ReleaseChange, ...] = ()

    @property
    def exit_status(self) -> int:
        """The exit status of the first change; 0 if there is no change."""
        return self.changes[0].difference.exit_status if self.changes else 0

    def as_json(self) -> dict[str, object]:
        """Return all fields by name."""
        return {
            "library": self.library,
            "from": self.ends[0],
            "to": self.ends[1],
            "releases": list(self.releases),
            "measured": list(self.measured),
            "skipped": self.skipped,
            "steps": [change.as_json() for change in self.changes],
            "moved_since": self.rest.comparison.as_json() if self.rest else None,
            "by_chance_only": [
                {"releases": [pair.before, pair.after], **pair.difference.as_json()}
                for pair in self.insignificant
            ],
        }


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The result of one probe with all upgrades together.

    Attributes:
        probe: the name of the probe.
        difference: the difference the upgrades make; None if the probe could not be measured.
        causes: the upgrades that change the first changed stage: single ones, or pairs, or one
            larger set. If the probe could not be measured, the upgrades that prevent it.
        reason: why the probe could not be measured.
        also_changing: other upgrades that change a later stage, or a stage of their own.
    """

    probe: str
    difference: EnvironmentDiff | None
    causes: tuple[tuple[str, ...], ...] = ()
    reason: str | None = None
    also_changing: tuple[str, ...] = ()

    @property
    def comparison(self) -> FingerprintDiff | None:
        """The first process without upgrades compared with the first with them."""
        return self.difference.comparison if self.difference else None

    @property
    def changed(self) -> bool:
        """Whether a stage changed."""
        return self.difference is not None and self.difference.changed

    @property
    def severity(self) -> Severity:
        """The severity of the difference; a probe that cannot run is a regression."""
        return self.difference.severity if self.difference else Severity.REGRESSION

    def as_json(self) -> dict[str, object]:
        """Return all fields by name."""
        comparison = self.comparison
        return {
            "probe": self.probe,
            "severity": self.severity.value,
            "reason": self.reason,
            "culprits": [list(upgrades) for upgrades in self.causes],
            "moves_alone": list(self.also_changing),
            "shift": self.difference.extent if self.difference and self.changed else None,
            "chance": self.difference.as_json() if self.difference else None,
            "environments": environment_differences(comparison) if comparison else {},
            "comparison": comparison.as_json() if comparison else None,
        }


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """The result of the test suite with the upgrades.

    ``failed`` has the name of each failed test with the first line of its failure. ``ended`` says
    why the suite did not finish, or why it failed without a failed test.
    """

    passed: int = 0
    failed: tuple[tuple[str, str], ...] = ()
    ended: str | None = None

    @property
    def exit_status(self) -> int:
        """1 if anything failed, else 0."""
        return int(bool(self.failed or self.ended))

    def as_json(self) -> dict[str, object]:
        """Return all fields by name."""
        return {"passed": self.passed, "failed": dict(self.failed), "ended": self.ended}


@dataclass(frozen=True, slots=True)
class CanaryResult:
    """The results of all probes with the upgrades, and of the test suite if it was run.

    ``refused`` has the reason for each set of requirements that could not be measured;
    ``left_out`` the reason for each probe that could not be tried.
    """

    upgrades: tuple[str, ...]
    probes: tuple[ProbeResult, ...]
    refused: dict[str, str] = field(default_factory=dict)
    suite: SuiteResult | None = None
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def exit_status(self) -> int:
        """The worst exit status of the probes; if that is 0, the one of the suite."""
        worst = max((EXIT_STATUSES[probe.severity] for probe in self.probes), default=0)
        return worst or (self.suite.exit_status if self.suite else 0)

    def as_json(self) -> dict[str, object]:
        """Return all fields by name."""
        return {
            "upgrades": list(self.upgrades),
            "exit_status": self.exit_status,
            "refused": self.refused,
            "left_out": self.left_out,
            "trials": [probe.as_json() for probe in self.probes],
            "suite": self.suite.as_json() if self.suite else None,
        }


def difference_summary(difference: EnvironmentDiff, old: str) -> str:
    """Return a difference from the environment called ``old`` in one line."""
    if difference.insignificant:
        return f"no significant difference from {old} ({significance_text(difference)})"
    if difference.kind is Kind.FAILS:
        return difference.extent
    return f"changed: {difference.extent}" if difference.changed else f"same as {old}"


def by_reason(skipped: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the names of what was skipped, by the reason."""
    names = dict[str, list[str]]()
    for name, reason in skipped.items():
        names.setdefault(reason, []).append(name)
    return names


def significance_text(difference: EnvironmentDiff) -> str:
    """Return the p-values of the tested stages, and the number of processes."""
    tests = ", ".join(f"{stage}: p = {p:.2g}" for stage, p in difference.p.items())
    return "{}; {} and {} processes".format(tests, *difference.processes)


def extent(comparison: FingerprintDiff, stage: str | None = None) -> str:
    """Return a stage, how much of it changed, and the effect on the answers.

    Args:
        comparison: the two records, compared.
        stage: the stage to describe, by default the first changed one.
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
