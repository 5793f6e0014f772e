"""Results of `bisect` and `canary`: which release or upgrade changed a stage."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmark.fingerprints.comparison import EXIT_STATUSES, FingerprintDiff, Severity
from benchmark.upgrades.environment_diff import EnvironmentDiff, environment_differences


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


def by_reason(skipped: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the skipped names by their reason."""
    names = dict[str, list[str]]()
    for name, reason in skipped.items():
        names.setdefault(reason, []).append(name)
    return names
