"""Try upgrades before they are made: which stages change, and which upgrade is the cause."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata

from packaging.requirements import Requirement

from benchmark.decoding.engines import engine_of_library
from benchmark.errors import SettingError
from benchmark.fingerprints.stages import stage_index
from benchmark.upgrades.environment_diff import EnvironmentDiff, difference_summary
from benchmark.upgrades.findings import CanaryResult, ProbeResult
from benchmark.upgrades.flakiness import Flakiness, MeasuredEnvironment
from benchmark.upgrades.probes import Say
from benchmark.upgrades.releases import releases
from benchmark.upgrades.search import minimal_causes
from benchmark.upgrades.venv_overlays import EnvironmentBuilder, NotInstallableError, checked
from benchmark.upgrades.workbench import UnmeasurableError, Workbench

Releases = Callable[[str], tuple[str, ...]]

_NO_SUCH = "No matching distribution found for"
"""The end of pip's error for a requirement that no release satisfies."""


def pinned(upgrade: str, list_releases: Releases = releases) -> str:
    """Return a requirement with an exact version, the newest release if it names none.

    A library that is not installed is looked up on the index even if its version is exact, so that
    a misspelled name is not reported as an upgrade that cannot be installed. A range becomes its
    newest release, since records are kept under the requirement's name.

    Raises:
        SettingError: if it is not a requirement, has a marker or a URL, or the index has no such
            library or release.
    """
    requirement = Requirement(checked(upgrade))
    if requirement.marker or requirement.url:
        raise SettingError(f"{upgrade!r}: markers and URLs are not supported; write name==version")
    exact = [s for s in requirement.specifier if s.operator == "==" and "*" not in s.version]
    if exact and _is_installed(requirement.name):
        return upgrade
    listed = list_releases(requirement.name)
    if exact:
        return upgrade
    fitting = list(requirement.specifier.filter(listed, prereleases=True))
    if not fitting:
        raise SettingError(f"{upgrade}: the index has no such release for this Python")
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}=={fitting[-1]}"


def by_engine(upgrades: Sequence[str]) -> dict[str | None, list[str]]:
    """Return the upgrades by the engine whose environment they change.

    None is this environment, which comes first.
    """
    groups = dict[str | None, list[str]]()
    engines = {upgrade: engine_of_library(Requirement(upgrade).name) for upgrade in upgrades}
    for upgrade in sorted(upgrades, key=lambda one: engines[one] is not None):
        groups.setdefault(engines[upgrade], []).append(upgrade)
    return groups


def merged(results: Sequence[CanaryResult]) -> CanaryResult:
    """Return the results of several environments as one."""
    return CanaryResult(
        upgrades=tuple(upgrade for one in results for upgrade in one.upgrades),
        probes=tuple(probe for one in results for probe in one.probes),
        refused={name: reason for one in results for name, reason in one.refused.items()},
        left_out={name: reason for one in results for name, reason in one.left_out.items()},
    )


def _is_installed(library: str) -> bool:
    try:
        metadata.version(library)
    except metadata.PackageNotFoundError:
        return False
    return True


def canary(upgrades: Sequence[str], benches: Sequence[Workbench], say: Say) -> CanaryResult:
    """Record every probe without and with the upgrades; if a stage changes, find the cause.

    Raises:
        SettingError: if there are no upgrades, the index does not have one of them, or a probe
            cannot run without them.
    """
    if not upgrades:
        raise SettingError("name at least one upgrade, such as 'transformers==5.23.0'")
    for bench in benches[:1]:  # all benches use the same environments
        _check_existence(upgrades, bench.builder)
    results = tuple(_ProbeRun(bench, tuple(upgrades), say).result() for bench in benches)
    refused = {name: reason for bench in benches for name, reason in bench.reasons.items()}
    return CanaryResult(tuple(upgrades), results, refused)


def _check_existence(upgrades: Sequence[str], builder: EnvironmentBuilder) -> None:
    """Refuse a release that does not exist: that is a typing error, not a broken upgrade."""
    try:
        builder.build(upgrades)
    except NotInstallableError as error:
        for upgrade in upgrades:
            if str(error).endswith(f"{_NO_SUCH} {checked(upgrade)}"):
                raise SettingError(
                    f"{upgrade}: the index has no such release for this Python"
                ) from error


@dataclass
class _ProbeRun:
    """One probe, measured with different subsets of the upgrades."""

    bench: Workbench
    upgrades: tuple[str, ...]
    say: Say

    def result(self) -> ProbeResult:
        self._flakiness = Flakiness(self.bench)
        self._baseline = self._measured_baseline()
        self.bench.follow(())
        measured = self._measured(self.upgrades)
        if measured is None:
            return self._unmeasurable()
        difference = self._difference(measured)
        self._report("all upgrades", _line(difference))
        if not difference.changed:
            return ProbeResult(self._name, difference)
        # Find the cause of the first changed stage; list upgrades that change later ones with it.
        causes = minimal_causes(
            self.upgrades, lambda subset: self._changes(subset, difference.stage)
        )
        return ProbeResult(
            self._name, difference, _sorted(causes), also_changing=self._others_changing(causes)
        )

    @property
    def _name(self) -> str:
        return self.bench.probe.name

    def _measured_baseline(self) -> MeasuredEnvironment:
        measured = self._measured(())
        if measured is None:
            raise SettingError(f"{self._name}, without any upgrade: {self.bench.reason(())}")
        return measured

    def _measured(self, requirements: tuple[str, ...]) -> MeasuredEnvironment | None:
        record = self.bench.record(requirements)
        name = " ".join(requirements) or "no upgrade"
        return MeasuredEnvironment(name, requirements, record) if record else None

    def _difference(self, new: MeasuredEnvironment) -> EnvironmentDiff:
        """Return the difference from the baseline; if there is one, measure both repeatedly."""
        if self._flakiness.difference(self._baseline, new).changed:
            for environment in (self._baseline, new):
                try:
                    self._flakiness.remeasure(environment)
                except UnmeasurableError as error:
                    self._report(environment.name, f"cannot run a second time: {error}")
        return self._flakiness.difference(self._baseline, new)

    def _unmeasurable(self) -> ProbeResult:
        """Find which upgrades prevent the probe from running, and what the others change."""
        reason = self.bench.reason(self.upgrades)
        self._report("all upgrades", reason)
        causes = minimal_causes(self.upgrades, self._fails)
        others = self._others_changing(causes)
        return ProbeResult(self._name, None, _sorted(causes), reason, others)

    def _others_changing(self, causes: Sequence[frozenset[str]]) -> tuple[str, ...]:
        """Return the upgrades that are part of no cause and change a stage by themselves."""
        blamed = frozenset[str]().union(*causes)
        rest = (upgrade for upgrade in self.upgrades if upgrade not in blamed)
        return tuple(upgrade for upgrade in rest if self._changes(frozenset([upgrade])))

    def _fails(self, subset: frozenset[str]) -> bool:
        requirements = self._requirements(subset)
        if self._measured(requirements) is not None:
            return False
        self._report(" ".join(requirements), self.bench.reason(requirements))
        return True

    def _requirements(self, subset: frozenset[str]) -> tuple[str, ...]:
        return tuple(upgrade for upgrade in self.upgrades if upgrade in subset)

    def _changes(self, subset: frozenset[str], stage: str | None = None) -> bool | None:
        """Return whether these upgrades change that stage or an earlier one.

        Without a stage, any change counts. None if the upgrades cannot run.
        """
        requirements = self._requirements(subset)
        measured = self._measured(requirements)
        if measured is None:
            self._report(" ".join(requirements), self.bench.reason(requirements))
            return None
        difference = self._difference(measured)
        self._report(" ".join(requirements), _line(difference))
        return difference.stage is not None and (
            stage is None or stage_index(difference.stage) <= stage_index(stage)
        )

    def _report(self, subject: str, line: str) -> None:
        self.say(f"{self._name}: {subject}: {line}")


def _sorted(causes: Sequence[frozenset[str]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(sorted(upgrades)) for upgrades in causes)


def _line(difference: EnvironmentDiff) -> str:
    if difference.changed or difference.insignificant:
        return difference_summary(difference, "the current environment")
    return difference.comparison.severity.value
