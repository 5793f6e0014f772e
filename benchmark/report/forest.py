"""The forest plot of the page: the gain of each pair at numops >= 1, in groups."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import ceil, floor
from typing import NamedTuple

from benchmark.report.charts import Tick
from benchmark.report.data import PairView
from benchmark.report.templates import points
from benchmark.stats.intervals import Interval

_STEP = 10
"""Gridlines are 10 points apart; the axis ends at one."""

_MOST_LABELS = 9
"""With more gridlines than this, every other one has a label, so that labels do not overlap."""


class Gain(NamedTuple):
    """A pair's gain with its interval, as shares; ``control`` if it is of a control pair."""

    name: str
    source: str
    estimate: float
    interval: Interval | None
    control: bool

    @property
    def ends(self) -> tuple[float, float]:
        """Return the ends of the interval; both are the estimate if there is no interval."""
        return self.interval or (self.estimate, self.estimate)

    @property
    def label(self) -> str:
        """Return the gain in points with its interval."""
        return f"{points(self.estimate)} ({self.interval_label})"

    @property
    def figure(self) -> str:
        """Return the gain in points."""
        return points(self.estimate)

    @property
    def interval_label(self) -> str:
        """Return the interval in points, or that there is no interval."""
        if self.interval is None:
            return "no interval"
        return f"{points(self.interval.low)} to {points(self.interval.high)}"


class ForestRow(NamedTuple):
    """A row: its gain, and positions in per cent of the axis.

    ``beyond`` is 1 or -1 if the estimate is beyond the upper or lower end of the axis, else 0.
    """

    gain: Gain
    low: float
    estimate: float
    high: float
    beyond: int


class ForestGroup(NamedTuple):
    """Rows under one heading."""

    title: str
    rows: tuple[ForestRow, ...]


class Forest(NamedTuple):
    """A forest plot; ``zero`` is the position of no gain in per cent of the axis."""

    groups: tuple[ForestGroup, ...]
    ticks: tuple[Tick, ...]
    zero: float


def forest(views: Mapping[str, Sequence[PairView]]) -> Forest | None:
    """Return the plot of gains by group; None if there are no results.

    The axis covers every gain except those of control pairs, which are trained to differ by much:
    a gain beyond the axis is drawn at its end, with an arrow.
    """
    gains = {title: [g for view in group for g in _gains(view)] for title, group in views.items()}
    gains = {title: group for title, group in gains.items() if group}
    if not gains:
        return None
    axis = _Axis.covering(gain for group in gains.values() for gain in group)
    groups = (ForestGroup(title, tuple(map(axis.row, group))) for title, group in gains.items())
    return Forest(tuple(groups), tuple(axis.ticks()), axis.position(0))


class _Axis(NamedTuple):
    """The ends of the axis in points."""

    low: int
    high: int

    @classmethod
    def covering(cls, gains: Iterable[Gain]) -> "_Axis":
        """Return an axis that covers zero and all gains except those of controls, if it can."""
        every = list(gains)
        covered = [gain for gain in every if not gain.control] or every
        ends = [100 * end for gain in covered for end in (*gain.ends, gain.estimate)]
        low, high = min(0, *ends) / _STEP, max(0, *ends) / _STEP
        return cls(_STEP * floor(low), _STEP * max(ceil(high), floor(low) + 1))

    def position(self, share: float) -> float:
        """Return the position in per cent of the axis, which may be beyond its ends."""
        return round(100 * (100 * share - self.low) / (self.high - self.low), 2)

    def row(self, gain: Gain) -> ForestRow:
        """Return the row of a gain, cut off at the ends of the axis."""
        estimate = self.position(gain.estimate)
        low, mark, high = (
            min(100.0, max(0.0, self.position(share)))
            for share in (gain.ends[0], gain.estimate, gain.ends[1])
        )
        return ForestRow(gain, low, mark, high, (estimate > 100) - (estimate < 0))  # noqa: PLR2004  # per cent

    def ticks(self) -> Iterator[Tick]:
        """Yield a tick every ten points; some have an empty label if there are many."""
        values = range(self.low, self.high + 1, _STEP)
        every = 2 * _STEP if len(values) > _MOST_LABELS else _STEP
        for value in values:
            yield Tick(self.position(value / 100), _label(value) if value % every == 0 else "")


def _gains(view: PairView) -> Iterator[Gain]:
    name = f"{view.base.model.name} \N{RIGHTWARDS ARROW} {view.variant.model.name}"
    control = view.pair.experiment == "control"
    if view.measured:
        test = view.measured.nontrivial
        yield Gain(name, "measured", test.difference, test.interval, control)
    if view.published:
        published = view.published
        yield Gain(name, "published", published.difference, published.interval, control)


def _label(value: int) -> str:
    return f"{value:+d}".replace("-", "\N{MINUS SIGN}") if value else "0"
