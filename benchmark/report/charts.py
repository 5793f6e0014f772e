"""Coordinates of the page's charts of accuracy by numops, in per cent of the plot's area.

Positions are percentages, so a chart fills its element at any width and its text keeps its size.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from benchmark.report.data import Chance, PairView
from benchmark.report.figures import DRAWN_NUMOPS, Curve, curves_of
from benchmark.stats.summary import Estimate, Summary

SHAPES = ("circle", "triangle", "square", "diamond", "wedge")
"""Markers, so that curves differ without colour too."""

FEW_QUERIES = 10
"""A point of fewer queries is hollow and not connected: its interval spans most of the axis."""

_OFFSET = 5
"""Pixels between the curves of neighbouring series, so that their error bars do not overlap."""

_WIDEST = 24
"""Most pixels between the first and the last series: less than between numops on a phone."""


class Tick(NamedTuple):
    """A tick of an axis: its position and its label."""

    position: float
    label: str


class Point(NamedTuple):
    """A point: its position, the ends of its error bar (y), its tooltip, and if it is of few."""

    x: float
    y: float
    low: float
    high: float
    label: str
    few: bool


class PlottedCurve(NamedTuple):
    """A curve: its CSS classes, marker, name, path and points, and its offset in pixels."""

    css_class: str
    shape: str
    name: str
    path: str
    points: tuple[Point, ...]
    offset: int


class Chart(NamedTuple):
    """A chart of accuracy by numops; ``random`` is the path of the random baseline."""

    curves: tuple[PlottedCurve, ...]
    random: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    label: str

    @property
    def hollow(self) -> bool:
        """Whether a point is of few queries."""
        return any(point.few for curve in self.curves for point in curve.points)


class Series(NamedTuple):
    """A summary to draw: its name, its CSS classes, its marker, and its offset in pixels."""

    name: str
    summary: Summary
    css_class: str
    shape: str
    offset: int = 0


def chart(series: Iterable[Series], chance: Chance, numops: Sequence[int] = DRAWN_NUMOPS) -> Chart:
    """Return the chart of the series in drawing order, with ``numops`` on the x axis."""
    curves = tuple(_curve(curve, numops) for curve in series)
    names = ", ".join(curve.name for curve in curves)
    return Chart(
        curves=curves,
        random=_path([(_x(n, numops), _y(chance[n])) for n in numops if n in chance]),
        x_ticks=tuple(Tick(_x(n, numops), str(n)) for n in numops),
        y_ticks=tuple(Tick(_y(percent / 100), str(percent)) for percent in (0, 25, 50, 75, 100)),
        label=f"Accuracy by changes to the box: {names or 'no result'}",
    )


def panel(view: PairView, paper_chance: Chance) -> Chart:
    """Return the chart of a pair: published curves, measured ones on top, random dashed."""
    chance = paper_chance if view.pair.paper else view.base.chance or view.variant.chance
    return chart((_side(view, curve) for curve in curves_of(view, published=True)), chance)


def offset(number: int, count: int) -> int:
    """Return the offset in pixels of one of ``count`` series, which are centered at their numops.

    Many series are closer to each other, so that each point stays at its numops.
    """
    spread = min(_OFFSET * (count - 1), _WIDEST)
    return round(spread * (number / (count - 1) - 0.5)) if count > 1 else 0


def _side(view: PairView, curve: Curve) -> Series:
    model = (view.base, view.variant)[curve.side].model.name
    source = "measured" if curve.measured else "published"
    classes = f"{('base', 'variant')[curve.side]} {source}{' faint' if curve.faint else ''}"
    name = f"{model}, {source}"
    return Series(name, curve.summary, classes, SHAPES[curve.side], offset(curve.side, 2))


def _curve(series: Series, numops: Sequence[int]) -> PlottedCurve:
    points = tuple(_points(series, numops))
    path = _path([(point.x, point.y) for point in points if not point.few])
    return PlottedCurve(
        series.css_class, series.shape, series.name, path, points, series.offset
    )  # fmt: skip


def _points(series: Series, numops: Sequence[int]) -> Iterator[Point]:
    for n, estimate in series.summary.by_numops.items():
        tally, (low, high) = estimate.tally, estimate.interval
        if n not in numops or not tally.total:
            continue
        label = (
            f"{series.name}, {n} change{'s' * (n != 1)}: {100 * tally.accuracy:.1f} % "
            f"({interval_words(estimate)}), {tally.correct} of {tally.total}"
        )
        few = tally.total < FEW_QUERIES
        yield Point(_x(n, numops), _y(tally.accuracy), _y(low), _y(high), label, few)


def interval_words(estimate: Estimate) -> str:
    """Return the interval in per cent, or that there is no interval."""
    if (interval := estimate.shown_interval) is None:
        return "no interval"
    return f"{100 * interval.low:.1f} to {100 * interval.high:.1f}"


def _x(n: int, numops: Sequence[int]) -> float:
    return round(100 * (numops.index(n) + 0.5) / len(numops), 2)


def _y(share: float) -> float:
    return round(100 - 100 * share, 2)


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:g},{y:g}" for x, y in points) if points else ""
