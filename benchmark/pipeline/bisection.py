"""The first release of a library that moved any stage of the pipeline."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmark.errors import SettingError
from benchmark.pipeline.probes import UnmeasurableError, Workbench
from benchmark.regression.comparison import Comparison, compare
from benchmark.regression.culprits import Bisection, Step, summary
from benchmark.regression.record import Record
from benchmark.regression.search import Move, Search


@dataclass
class _Releases:
    """The releases as places of a search; a line is said of each as soon as it is measured."""

    library: str
    releases: Sequence[str]
    bench: Workbench
    alongside: tuple[str, ...] = ()
    skipped: dict[str, str] = field(default_factory=dict)
    origin: tuple[str, Record] | None = None

    def requirements(self, place: int) -> tuple[str, ...]:
        return (f"{self.library}=={self.releases[place]}", *self.alongside)

    def measure(self, place: int) -> Record | None:
        record = self.bench.record(self.requirements(place))
        if record is None:
            reason = self.skipped[self.releases[place]] = self.bench.reason(
                self.requirements(place)
            )
            self._tell(place, f"skipped: {reason}")
        elif self.origin is None:
            self.origin = self.releases[place], record
            self.bench.follow(self.requirements(place))
            self._tell(place, "measured; the others are held against it")
        else:
            self._tell(place, summary(compare(self.origin[1], record), self.origin[0]))
        return record

    def runs_again(self, place: int) -> bool:
        """Whether a second process gives a record too; one that does not is skipped from now on."""
        try:
            self.bench.again(self.requirements(place))
        except UnmeasurableError as error:
            reason = self.skipped[self.releases[place]] = f"does not run a second time: {error}"
            self._tell(place, f"skipped: {reason}")
            return False
        return True

    def unsteady(self, place: int, record: Record) -> tuple[str, ...]:
        """The stages that a second process in the same environment gives otherwise."""
        found = compare(record, self.bench.again(self.requirements(place)))
        return tuple(each.stage for each in found.moved)

    def differ(self, old: Record, new: Record) -> bool:
        return not compare(old, new).severity.within_noise

    def _tell(self, place: int, what: str) -> None:
        self.bench.say(f"{self.library} {self.releases[place]:<10} {what}")


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
    known = _Releases(library, releases, bench, alongside)
    search = Search(len(releases), known.measure, known.differ)
    moves, (low, high) = _confirmed(known, search, depth)
    steps = tuple(_step(known, search, move) for move in moves)
    return Bisection(
        library=library,
        releases=tuple(releases),
        measured=tuple(releases[place] for place in search.measured),
        skipped=known.skipped,
        ends=(releases[low], releases[high]),
        steps=steps,
        rest=_rest(search, moves, high) if depth == "first" else None,
    )


def _confirmed(
    known: _Releases, search: Search[Record], depth: str
) -> tuple[tuple[Move, ...], tuple[int, int]]:
    """The moves both ends of which run a second time, and the ends of the search.

    A release that runs once only is dropped, and the search goes on without it.
    """
    while True:
        low, high = search.ends()
        moves = _moves(search, low, high, depth)
        places = sorted({place for move in moves for place in (move.before, move.after)})
        broken = [place for place in places if not known.runs_again(place)]
        if not broken:
            return moves, (low, high)
        for place in broken:
            search.drop(place)


def _moves(search: Search[Record], low: int, high: int, depth: str) -> tuple[Move, ...]:
    if depth == "each":
        return search.one_by_one(low, high)
    if depth == "every":
        return search.every(low, high)
    move = search.first(low, high)
    return (move,) if move else ()


def _step(known: _Releases, search: Search[Record], move: Move) -> Step:
    ends = ((place, search.at(place)) for place in (move.before, move.after))
    twice = {known.releases[p]: known.unsteady(p, record) for p, record in ends if record}
    return Step(
        known.library,
        known.releases[move.before],
        known.releases[move.after],
        tuple(known.releases[place] for place in move.between),
        _comparison(search, move.before, move.after),
        {release: stages for release, stages in twice.items() if stages},
    )


def _rest(search: Search[Record], moves: Sequence[Move], high: int) -> Comparison | None:
    """What the newest release has moved beyond the first move."""
    if not moves or not search.differ(moves[-1].after, high):
        return None
    return _comparison(search, moves[-1].after, high)


def _comparison(search: Search[Record], one: int, other: int) -> Comparison:
    old, new = search.at(one), search.at(other)
    if old is None or new is None:
        raise SettingError("a release of the answer could not be measured")
    return compare(old, new)
