"""Upgrades tried before they are made: what moves with them, and which of them does it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata

from packaging.requirements import Requirement

from benchmark.errors import SettingError
from benchmark.fingerprints.stages import place
from benchmark.upgrades.findings import Canary, EnvironmentDiff, Trial, summary
from benchmark.upgrades.flakiness import Flakiness, MeasuredEnvironment
from benchmark.upgrades.probes import Say, UnmeasurableError, Workbench
from benchmark.upgrades.releases import releases
from benchmark.upgrades.search import causes
from benchmark.upgrades.venv_overlays import Maker, NotInstallableError, checked

Releases = Callable[[str], tuple[str, ...]]

_NO_SUCH = "No matching distribution found for"
"""What pip says last of a requirement that the index has nothing for."""


def pinned(upgrade: str, known: Releases = releases) -> str:
    """A requirement with its version: the newest release where it names none.

    A library that is not installed here is looked up in any case: a slip of the pen would otherwise
    be reported as an upgrade that cannot be installed. A range becomes its newest release, so that
    what is kept under its name does not grow old.

    Raises:
        SettingError: when it is no requirement, has a marker or an address, or the index does not
            know the library or has no such release.
    """
    requirement = Requirement(checked(upgrade))
    if requirement.marker or requirement.url:
        raise SettingError(f"{upgrade!r}: markers and addresses are not taken; write name==version")
    exact = [s for s in requirement.specifier if s.operator == "==" and "*" not in s.version]
    if exact and _is_installed(requirement.name):
        return upgrade
    listed = known(requirement.name)
    if exact:
        return upgrade
    fitting = list(requirement.specifier.filter(listed, prereleases=True))
    if not fitting:
        raise SettingError(f"{upgrade}: the index has no such release for this Python")
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}=={fitting[-1]}"


def _is_installed(library: str) -> bool:
    try:
        metadata.version(library)
    except metadata.PackageNotFoundError:
        return False
    return True


def canary(upgrades: Sequence[str], benches: Sequence[Workbench], say: Say) -> Canary:
    """Record every probe without and with the upgrades; where it moved, swap them one at a time.

    Raises:
        SettingError: when there are no upgrades, the index has no such release of one, or a probe
            does not even run without them.
    """
    if not upgrades:
        raise SettingError("name what to upgrade, such as 'transformers==5.23.0'")
    for bench in benches[:1]:  # the environments are the same for all
        _must_exist(upgrades, bench.maker)
    trials = tuple(_Trying(bench, tuple(upgrades), say).trial() for bench in benches)
    refused = {name: why for bench in benches for name, why in bench.reasons.items()}
    return Canary(tuple(upgrades), trials, refused)


def _must_exist(upgrades: Sequence[str], maker: Maker) -> None:
    """A release that there is not is a slip of the pen, and no upgrade that breaks anything."""
    try:
        maker.make(upgrades)
    except NotInstallableError as error:
        for upgrade in upgrades:
            if str(error).endswith(f"{_NO_SUCH} {checked(upgrade)}"):
                raise SettingError(
                    f"{upgrade}: the index has no such release for this Python"
                ) from error


@dataclass
class _Trying:
    bench: Workbench
    upgrades: tuple[str, ...]
    say: Say

    def trial(self) -> Trial:
        self._steadiness = Flakiness(self.bench)
        self._baseline = self._measured_now()
        self.bench.follow(())
        new = self._measured(self.upgrades)
        if new is None:
            return self._unmeasured()
        found = self._difference(new)
        self._tell("all upgrades", _line(found))
        if not found.moved:
            return Trial(self._name, found)
        # Who makes the earliest stage move; what others move later is told beside it.
        culprits = causes(self.upgrades, lambda chosen: self._moves(chosen, found.stage))
        named = frozenset[str]().union(*culprits)
        rest = [upgrade for upgrade in self.upgrades if upgrade not in named]
        movers = tuple(upgrade for upgrade in rest if self._moves(frozenset([upgrade])))
        return Trial(
            self._name, found, tuple(tuple(sorted(each)) for each in culprits), movers=movers
        )

    @property
    def _name(self) -> str:
        return self.bench.probe.name

    def _measured_now(self) -> MeasuredEnvironment:
        measured = self._measured(())
        if measured is None:
            raise SettingError(f"{self._name}, without any upgrade, {self.bench.reason(())}")
        return measured

    def _measured(self, requirements: tuple[str, ...]) -> MeasuredEnvironment | None:
        record = self.bench.record(requirements)
        name = " ".join(requirements) or "no upgrade"
        return MeasuredEnvironment(name, requirements, record) if record else None

    def _difference(self, new: MeasuredEnvironment) -> EnvironmentDiff:
        """What moved from the baseline; where anything seems to, both are looked at twice."""
        found = self._steadiness.difference(self._baseline, new)
        if found.moved:
            for each in (self._baseline, new):
                try:
                    self._steadiness.look(each)
                except UnmeasurableError as error:
                    self._tell(each.name, f"does not run a second time: {error}")
        return self._steadiness.difference(self._baseline, new)

    def _unmeasured(self) -> Trial:
        """They do not go together, or do not run: who it is, and what the others move alone."""
        reason = self.bench.reason(self.upgrades)
        self._tell("all upgrades", reason)
        found = causes(self.upgrades, self._fails)
        fail = frozenset[str]().union(*found)
        rest = [upgrade for upgrade in self.upgrades if upgrade not in fail]
        movers = tuple(upgrade for upgrade in rest if self._moves(frozenset([upgrade])))
        return Trial(self._name, None, tuple(tuple(sorted(e)) for e in found), reason, movers)

    def _fails(self, chosen: frozenset[str]) -> bool:
        wanted = self._wanted(chosen)
        if self.bench.record(wanted) is not None:
            return False
        self._tell(" ".join(wanted), self.bench.reason(wanted))
        return True

    def _wanted(self, chosen: frozenset[str]) -> tuple[str, ...]:
        return tuple(each for each in self.upgrades if each in chosen)

    def _moves(self, chosen: frozenset[str], by: str | None = None) -> bool | None:
        """Whether these upgrades move that stage or an earlier one, by default any.

        None where they do not run.
        """
        wanted = self._wanted(chosen)
        measured = self._measured(wanted)
        if measured is None:
            self._tell(" ".join(wanted), self.bench.reason(wanted))
            return None
        found = self._difference(measured)
        self._tell(" ".join(wanted), _line(found))
        return found.stage is not None and (by is None or place(found.stage) <= place(by))

    def _tell(self, what: str, line: str) -> None:
        self.say(f"{self._name}: {what}: {line}")


def _line(found: EnvironmentDiff) -> str:
    if found.moved or found.by_chance:
        return summary(found, "what there is now")
    return found.comparison.severity.value
