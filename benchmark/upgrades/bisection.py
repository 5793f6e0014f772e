"""The first release of a library that moved any stage of the pipeline."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmark.errors import SettingError
from benchmark.upgrades.findings import Bisection, EnvironmentDiff, Step, summary
from benchmark.upgrades.flakiness import Flakiness, MeasuredEnvironment
from benchmark.upgrades.probes import UnmeasurableError, Workbench
from benchmark.upgrades.search import Move, Search


@dataclass
class _Releases:
    """The releases as places of a search; a line is said of each as soon as it is measured."""

    library: str
    releases: Sequence[str]
    bench: Workbench
    steadiness: Flakiness
    alongside: tuple[str, ...] = ()
    skipped: dict[str, str] = field(default_factory=dict)
    origin: MeasuredEnvironment | None = None

    def measure(self, place: int) -> MeasuredEnvironment | None:
        name = self.releases[place]
        requirements = (f"{self.library}=={name}", *self.alongside)
        record = self.bench.record(requirements)
        if record is None:
            reason = self.skipped[name] = self.bench.reason(requirements)
            self._tell(name, f"skipped: {reason}")
            return None
        measured = MeasuredEnvironment(name, requirements, record)
        if self.origin is None:
            self.origin = measured
            self.bench.follow(requirements)
            self._tell(name, "measured; the others are held against it")
        else:
            found = self.steadiness.difference(self.origin, measured)
            self._tell(name, summary(found, self.origin.name))
        return measured

    def steady(self, measured: MeasuredEnvironment) -> bool | None:
        """Whether nothing new is learned of it from other processes; None where that fails."""
        try:
            news = self.steadiness.look(measured)
        except UnmeasurableError as error:
            reason = self.skipped[measured.name] = f"does not run a second time: {error}"
            self._tell(measured.name, f"skipped: {reason}")
            return None
        if news:
            stages = " and ".join(self.steadiness.unsteady[measured.name])
            self._tell(measured.name, f"gives another {stages} in another process")
        return not news

    def differ(self, old: MeasuredEnvironment, new: MeasuredEnvironment) -> bool:
        return old is not new and self.steadiness.difference(old, new).moved

    def _tell(self, release: str, what: str) -> None:
        self.bench.say(f"{self.library} {release:<10} {what}")


DEPTHS = ("first", "every", "each")
"""How much of a range is searched."""


def bisect(
    library: str,
    releases: Sequence[str],
    bench: Workbench,
    depth: str = "first",
    alongside: tuple[str, ...] = (),
) -> Bisection:
    """Search the releases, the oldest first; ``alongside`` is installed with each.

    ``depth`` is ``first`` for the first move, ``every`` for all that lead from one end to the
    other, ``each`` to measure every release, so that what came and went is seen too.

    Raises:
        SettingError: when fewer than two releases can be measured, or there is no such depth.
    """
    if depth not in DEPTHS:  # before any environment is made
        raise SettingError(f"no depth {depth!r}; choose {', '.join(DEPTHS)}")
    known = _Releases(library, releases, bench, Flakiness(bench, library), alongside)
    search = Search(len(releases), known.measure, known.differ)
    moves, (low, high) = _confirmed(known, search, depth)
    return Bisection(
        library=library,
        releases=tuple(releases),
        measured=tuple(releases[place] for place in search.measured),
        skipped=known.skipped,
        ends=(releases[low], releases[high]),
        steps=tuple(
            _step(known, move, _difference(known, search, move.before, move.after))
            for move in moves
        ),
        rest=_rest(known, search, moves, high) if depth == "first" else None,
        chances=_chances(known),
    )


def _confirmed(
    known: _Releases, search: Search[MeasuredEnvironment], depth: str
) -> tuple[tuple[Move, ...], tuple[int, int]]:
    """The moves both ends of which were seen in other processes, and the ends of the search.

    A release that runs once only is dropped; where one is found not to give the same twice, what it
    was taken to differ in is looked at anew. In both cases the search goes on from there.
    """
    while True:
        low, high = search.ends()
        moves = _moves(search, low, high, depth)
        # The lowest is what the search holds all others against.
        ends = {place for move in moves for place in (low, move.before, move.after)}
        looked = {p: known.steady(m) for p in sorted(ends) if (m := search.at(p)) is not None}
        if all(looked.values()):
            # A move is one from the release before it too, not only from the lowest.
            proved = tuple(m for m in moves if search.differ(m.before, m.after))
            return proved, (low, high)
        for place, steady in looked.items():
            if steady is None:
                search.drop(place)


def _moves(
    search: Search[MeasuredEnvironment], low: int, high: int, depth: str
) -> tuple[Move, ...]:
    if depth == "each":
        return search.one_by_one(low, high)
    if depth == "every":
        return search.every(low, high)
    move = search.first(low, high)
    return (move,) if move else ()


def _step(known: _Releases, move: Move, difference: EnvironmentDiff) -> Step:
    return Step(
        known.library,
        known.releases[move.before],
        known.releases[move.after],
        tuple(known.releases[place] for place in move.between),
        difference,
    )


def _rest(
    known: _Releases, search: Search[MeasuredEnvironment], moves: Sequence[Move], high: int
) -> EnvironmentDiff | None:
    """What the newest release has moved beyond the first move."""
    if not moves or not search.differ(moves[-1].after, high):
        return None
    return _difference(known, search, moves[-1].after, high)


def _difference(
    known: _Releases, search: Search[MeasuredEnvironment], one: int, other: int
) -> EnvironmentDiff:
    old, new = search.at(one), search.at(other)
    if old is None or new is None:
        raise SettingError("a release of the answer could not be measured")
    return known.steadiness.difference(old, new)


def _chances(known: _Releases) -> tuple[Step, ...]:
    """The pairs of the search that were found to differ by chance only."""
    found = known.steadiness.by_chance
    places = {name: place for place, name in enumerate(known.releases)}
    return tuple(
        _step(known, Move(places[a], places[b]), difference) for (a, b), difference in found.items()
    )
