"""Upgrades tried before they are made: what moves with them, and which of them does it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata

from packaging.requirements import Requirement

from benchmark.errors import SettingError
from benchmark.pipeline.probes import Say, Workbench
from benchmark.regression.comparison import compare
from benchmark.regression.culprits import Canary, Trial, size
from benchmark.regression.layers import Maker, NotInstallableError, checked
from benchmark.regression.record import Record
from benchmark.regression.releases import releases
from benchmark.regression.search import causes

Releases = Callable[[str], tuple[str, ...]]

_NO_SUCH = "No matching distribution found for"
"""What pip says last of a requirement that the index has nothing for."""


def pinned(upgrade: str, known: Releases = releases) -> str:
    """A requirement with its version: the newest release where it names none.

    A library that is not installed here is looked up in any case: a slip of the pen would otherwise
    be reported as an upgrade that cannot be installed.

    Raises:
        SettingError: when it is no requirement, or the index does not know the library.
    """
    requirement = Requirement(checked(upgrade))
    if requirement.specifier and _is_installed(requirement.name):
        return upgrade
    newest = known(requirement.name)[-1]
    return upgrade if requirement.specifier else f"{upgrade}=={newest}"


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
        self._baseline = self._measured_now()
        self.bench.follow(())
        new = self.bench.record(self.upgrades)
        if new is None:
            return self._unmeasured()
        comparison = compare(self._baseline, new)
        if comparison.severity.within_noise:
            self._tell("all upgrades", comparison.severity.value)
            return Trial(self._name, comparison)
        self._tell("all upgrades", f"moved: {size(comparison)}")
        found = causes(self.upgrades, self._moves)
        return Trial(self._name, comparison, tuple(tuple(sorted(each)) for each in found))

    @property
    def _name(self) -> str:
        return self.bench.probe.name

    def _measured_now(self) -> Record:
        record = self.bench.record(())
        if record is None:
            raise SettingError(f"{self._name}, without any upgrade, {self.bench.reason(())}")
        return record

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

    def _moves(self, chosen: frozenset[str]) -> bool | None:
        wanted = self._wanted(chosen)
        record = self.bench.record(wanted)
        if record is None:
            self._tell(" ".join(wanted), self.bench.reason(wanted))
            return None
        comparison = compare(self._baseline, record)
        moved = not comparison.severity.within_noise
        said = f"moved: {size(comparison)}" if moved else comparison.severity.value
        self._tell(" ".join(wanted), said)
        return moved

    def _tell(self, what: str, line: str) -> None:
        self.say(f"{self._name}: {what}: {line}")
