"""Coordinates of the page's own charts, in SVG units: curves, points and error bars."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from benchmark.report.data import Chance, PairView
from benchmark.report.figures import DRAWN_NUMOPS, Curve, curves_of
from benchmark.stats.intervals import Interval
from benchmark.stats.points import signed_points
from benchmark.stats.summary import Estimate

WIDTH, HEIGHT = 240, 168
LEFT, RIGHT, TOP, BOTTOM = 30, 8, 8, 22

_OFFSET = 2.0
"""Base is drawn this far to the left of its numops and the variant this far to the right."""


class Tick(NamedTuple):
    """A tick of an axis: its position and its label."""

    position: float
    label: str


class Point(NamedTuple):
    """A point: its position, the ends of its error bar (y), and its tooltip."""

    x: float
    y: float
    low: float
    high: float
    label: str


class CurvePath(NamedTuple):
    """A curve: its CSS classes, its name, the path through its points, and the points."""

    css_class: str
    name: str
    path: str
    points: tuple[Point, ...]


class PanelChart(NamedTuple):
    """The chart of a pair."""

    curves: tuple[CurvePath, ...]
    random: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    label: str


class Bar(NamedTuple):
    """A row of the forest plot: the gain of a pair with its interval (x positions)."""

    name: str
    source: str
    y: float
    low: float
    estimate: float
    high: float
    label: str
    holds: bool | None


class Forest(NamedTuple):
    """A forest plot of the gains of many pairs."""

    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    zero: float
    width: int
    height: int


class _Gain(NamedTuple):
    """A pair's gain at numops >= 1 with its interval, as shares."""

    name: str
    source: str
    estimate: float
    interval: Interval | None
    holds: bool | None

    @property
    def ends(self) -> tuple[float, float]:
        """Return the ends of the interval; both are the estimate if there is none."""
        return self.interval or (self.estimate, self.estimate)

    @property
    def words(self) -> str:
        """Return the gain in points with its interval."""
        gain = signed_points(self.estimate)
        if self.interval is None:
            return f"{gain} (no interval)"
        low, high = map(signed_points, self.interval)
        return f"{gain} ({low} to {high})"


def panel(view: PairView, paper_chance: Chance) -> PanelChart:
    """Return the chart of a pair: published curves, measured ones on top, random dashed."""
    curves = tuple(_curve(view, curve) for curve in curves_of(view, published=True))
    chance = paper_chance if view.pair.paper else view.base.chance or view.variant.chance
    names = [curve.name for curve in curves]
    return PanelChart(
        curves=curves,
        random=_path([(_x(n), _y(chance[n])) for n in DRAWN_NUMOPS if n in chance]),
        x_ticks=tuple(Tick(_x(n), str(n)) for n in DRAWN_NUMOPS),
        y_ticks=tuple(Tick(_y(percent / 100), str(percent)) for percent in (0, 25, 50, 75, 100)),
        label=f"Accuracy by number of operations: {', '.join(names) or 'no result'}",
    )


def _curve(view: PairView, curve: Curve) -> CurvePath:
    model = (view.base, view.variant)[curve.side].model.name
    source = "measured" if curve.measured else "published"
    points = tuple(_points(curve, f"{model}, {source}"))
    side = ("base", "variant")[curve.side]
    faint = " faint" if curve.faint else ""
    path = _path([(point.x, point.y) for point in points])
    return CurvePath(f"{side} {source}{faint}", f"{model} ({source})", path, points)


def _interval_words(estimate: Estimate) -> str:
    if (interval := estimate.shown_interval) is None:
        return "no interval"
    return f"{100 * interval.low:.1f} to {100 * interval.high:.1f}"


def _points(curve: Curve, name: str) -> Iterator[Point]:
    for numops, estimate in curve.summary.by_numops.items():
        if numops not in DRAWN_NUMOPS or not estimate.tally.total:
            continue
        tally, (low, high) = estimate.tally, estimate.interval
        label = (
            f"{name}, {numops} operations: {100 * tally.accuracy:.1f} % "
            f"({_interval_words(estimate)}), {tally.correct} of {tally.total}"
        )
        x = round(_x(numops) + _OFFSET * (2 * curve.side - 1), 1)
        yield Point(x, _y(tally.accuracy), _y(low), _y(high), label)


def _x(numops: int) -> float:
    step = (WIDTH - LEFT - RIGHT) / len(DRAWN_NUMOPS)
    return round(LEFT + step * (numops + 0.5), 1)


def _y(share: float) -> float:
    return round(HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP), 1)


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x},{y}" for x, y in points) if points else ""


FOREST_WIDTH, _NAME_WIDTH, _LABEL_WIDTH, _ROW_HEIGHT = 760, 300, 150, 21


def forest(views: Mapping[str, Sequence[PairView]]) -> Forest | None:
    """Return the plot of gains at numops >= 1 by experiment; None if there are no results."""
    gains = [gain for pairs in views.values() for view in pairs for gain in _gains(view)]
    if not gains:
        return None
    largest = max(abs(end) for gain in gains for end in (*gain.ends, gain.estimate))
    limit = 10 * (int(10 * largest) + 1)  # in points, rounded up to the next ten

    def x(share: float) -> float:
        width = FOREST_WIDTH - _NAME_WIDTH - _LABEL_WIDTH
        return round(_NAME_WIDTH + width * (100 * share + limit) / (2 * limit), 1)

    bars = [
        Bar(gain.name, gain.source, _ROW_HEIGHT * (row + 1.0), x(gain.ends[0]), x(gain.estimate),
            x(gain.ends[1]), gain.words, gain.holds)
        for row, gain in enumerate(gains)
    ]  # fmt: skip
    step = 10 if limit <= 40 else 20  # noqa: PLR2004  # so that the labels do not overlap
    values = range(-(limit // step) * step, limit + 1, step)
    ticks = tuple(Tick(x(value / 100), f"{value:+d}" if value else "0") for value in values)
    return Forest(tuple(bars), ticks, x(0), FOREST_WIDTH, _ROW_HEIGHT * (len(bars) + 2))


def _gains(view: PairView) -> Iterator[_Gain]:
    name = f"{view.base.model.name} to {view.variant.model.name}"
    if view.published:
        published = view.published
        yield _Gain(name, "published", published.difference, published.interval, None)
    if view.measured:
        test = view.measured.nontrivial
        holds = view.verdict.holds if view.verdict else None
        yield _Gain(name, "measured", test.difference, test.interval, holds)
