"""Find the first release of a library that changed any stage of the pipeline."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmark.errors import SettingError
from benchmark.upgrades.environment_diff import EnvironmentDiff, difference_summary
from benchmark.upgrades.findings import BisectionResult, ReleaseChange, by_reason
from benchmark.upgrades.flakiness import Flakiness, MeasuredEnvironment
from benchmark.upgrades.search import Search, TooFewMeasurableError, Transition
from benchmark.upgrades.workbench import UnmeasurableError, Workbench


@dataclass
class _ReleaseSeries:
    """The releases of a search, measured on demand; each measurement is reported in a line."""

    library: str
    releases: Sequence[str]
    bench: Workbench
    flakiness: Flakiness
    alongside: tuple[str, ...] = ()
    skipped: dict[str, str] = field(default_factory=dict)
    origin: MeasuredEnvironment | None = None

    def measure(self, index: int) -> MeasuredEnvironment | None:
        name = self.releases[index]
        requirements = (f"{self.library}=={name}", *self.alongside)
        record = self.bench.record(requirements)
        if record is None:
            self._skip(name, self.bench.reason(requirements))
            return None
        measured = MeasuredEnvironment(name, requirements, record)
        if self.origin is None:
            self.origin = measured
            self.bench.follow(requirements)
            self._report(name, "measured; the other releases are compared with it")
        else:
            difference = self.flakiness.difference(self.origin, measured)
            self._report(name, difference_summary(difference, self.origin.name))
        return measured

    def is_settled(self, measured: MeasuredEnvironment) -> bool | None:
        """Return whether more processes agree with the first; None if they cannot run."""
        try:
            nondeterministic = self.flakiness.remeasure(measured)
        except UnmeasurableError as error:
            self._skip(measured.name, f"cannot run a second time: {error}")
            return None
        if nondeterministic:
            stages = " and ".join(self.flakiness.nondeterministic[measured.name])
            self._report(measured.name, f"{stages} differs between its own processes")
        return not nondeterministic

    def reasons(self) -> str:
        """Return why releases were skipped, with the releases of each reason."""
        reasons = by_reason(self.skipped).items()
        return "; ".join(f"{' and '.join(names)}: {reason}" for reason, names in reasons)

    def differ(self, old: MeasuredEnvironment, new: MeasuredEnvironment) -> bool:
        return old is not new and self.flakiness.difference(old, new).changed

    def _skip(self, release: str, reason: str) -> None:
        self.skipped[release] = reason
        self._report(release, f"skipped: {reason}")

    def _report(self, release: str, line: str) -> None:
        self.bench.say(f"{self.library} {release:<10} {line}")


DEPTHS = ("first", "every", "each")
"""How thoroughly a range is searched."""


def bisect(
    library: str,
    releases: Sequence[str],
    bench: Workbench,
    depth: str = "first",
    alongside: tuple[str, ...] = (),
) -> BisectionResult:
    """Search a range of releases for the ones that change a stage.

    Args:
        library: the library's name.
        releases: its releases, oldest first.
        bench: makes the records.
        depth: ``first`` finds the first change; ``every`` all changes between the ends; ``each``
            measures every release, so that changes that were reverted are found too.
        alongside: requirements that are installed with each release.

    Raises:
        SettingError: if fewer than two releases can be measured, or the depth is unknown.
    """
    if depth not in DEPTHS:  # before any environment is built
        raise SettingError(f"unknown depth {depth!r}; choose one of {', '.join(DEPTHS)}")
    series = _ReleaseSeries(library, releases, bench, Flakiness(bench, library), alongside)
    search = Search(len(releases), series.measure, series.differ)
    try:
        transitions, (low, high) = _confirmed_transitions(series, search, depth)
    except TooFewMeasurableError as error:
        raise SettingError(f"{error}; {series.reasons()}") from error
    return BisectionResult(
        library=library,
        releases=tuple(releases),
        measured=tuple(releases[index] for index in search.measured),
        skipped=series.skipped,
        ends=(releases[low], releases[high]),
        changes=tuple(
            _release_change(series, t, _difference(series, search, t.before, t.after))
            for t in transitions
        ),
        rest=_rest(series, search, transitions, high) if depth == "first" else None,
        insignificant=_insignificant(series),
    )


def _confirmed_transitions(
    series: _ReleaseSeries, search: Search[MeasuredEnvironment], depth: str
) -> tuple[tuple[Transition, ...], tuple[int, int]]:
    """Return the transitions whose ends were measured several times, and the search's ends.

    A release that runs only once is dropped. If a release turns out to be nondeterministic, its
    differences are tested. In both cases the search is repeated with what is now known.
    """
    while True:
        low, high = search.ends()
        transitions = _transitions(search, low, high, depth)
        # All other releases are compared with the lowest one.
        ends = {index for t in transitions for index in (low, t.before, t.after)}
        settled = {i: series.is_settled(m) for i in sorted(ends) if (m := search.at(i)) is not None}
        if all(settled.values()):
            # The release before has to differ too, not only the lowest one.
            confirmed = tuple(t for t in transitions if search.differ(t.before, t.after))
            return confirmed, (low, high)
        for index, outcome in settled.items():
            if outcome is None:
                search.drop(index)


def _transitions(
    search: Search[MeasuredEnvironment], low: int, high: int, depth: str
) -> tuple[Transition, ...]:
    if depth == "each":
        return search.one_by_one(low, high)
    if depth == "every":
        return search.every(low, high)
    first = search.first(low, high)
    return (first,) if first else ()


def _release_change(
    series: _ReleaseSeries, transition: Transition, difference: EnvironmentDiff
) -> ReleaseChange:
    return ReleaseChange(
        series.library,
        series.releases[transition.before],
        series.releases[transition.after],
        tuple(series.releases[index] for index in transition.between),
        difference,
    )


def _rest(
    series: _ReleaseSeries,
    search: Search[MeasuredEnvironment],
    transitions: Sequence[Transition],
    high: int,
) -> EnvironmentDiff | None:
    """Return how the newest release differs from the release of the first change."""
    if not transitions or not search.differ(transitions[-1].after, high):
        return None
    return _difference(series, search, transitions[-1].after, high)


def _difference(
    series: _ReleaseSeries, search: Search[MeasuredEnvironment], one: int, other: int
) -> EnvironmentDiff:
    old, new = search.at(one), search.at(other)
    if old is None or new is None:
        raise SettingError("a release of the result could not be measured")
    return series.flakiness.difference(old, new)


def _insignificant(series: _ReleaseSeries) -> tuple[ReleaseChange, ...]:
    """Return the pairs of releases that were tested and do not differ significantly."""
    indexes = {name: index for index, name in enumerate(series.releases)}
    return tuple(
        _release_change(series, Transition(indexes[a], indexes[b]), difference)
        for (a, b), difference in series.flakiness.insignificant.items()
    )
