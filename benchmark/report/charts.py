"""The page's own drawings: where lines, points and error bars stand, in units of the SVG."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from benchmark.report.data import Chance, PairView
from benchmark.report.figures import NUMOPS, Curve, curves_of

WIDTH, HEIGHT = 240, 168
LEFT, RIGHT, TOP, BOTTOM = 30, 8, 8, 22

_APART = 2.0
"""Base and variant are drawn so far to the left and to the right."""


class Point(NamedTuple):
    """A figure: where it is, where its interval ends, and what it says when pointed at."""

    x: float
    y: float
    low: float
    high: float
    words: str


class ChartLine(NamedTuple):
    """A curve: the path through its points, and the class that its look hangs on."""

    kind: str
    name: str
    path: str
    points: tuple[Point, ...]


class PanelChart(NamedTuple):
    """A pair's panel."""

    lines: tuple[ChartLine, ...]
    random: str
    across: tuple[tuple[float, str], ...]
    down: tuple[tuple[float, str], ...]
    words: str


class Bar(NamedTuple):
    """A row of the forest: a pair's gain with its interval."""

    name: str
    kind: str
    y: float
    low: float
    middle: float
    high: float
    words: str
    holds: bool | None


class Forest(NamedTuple):
    """Gains of many pairs under each other."""

    bars: tuple[Bar, ...]
    ticks: tuple[tuple[float, str], ...]
    zero: float
    width: int
    height: int


def panel(view: PairView, papers: Chance) -> PanelChart:
    """The panel of a pair: published curves, measured ones over them, random dashed."""
    lines = tuple(_line(view, curve) for curve in curves_of(view, published=True))
    chance = papers if view.pair.paper else view.base.chance or view.variant.chance
    named = [line.name for line in lines]
    return PanelChart(
        lines=lines,
        random=_path([(_x(n), _y(chance[n])) for n in NUMOPS if n in chance]),
        across=tuple((_x(n), str(n)) for n in NUMOPS),
        down=tuple((_y(share / 100), str(share)) for share in (0, 25, 50, 75, 100)),
        words=f"Accuracy by number of operations: {', '.join(named) or 'no result'}",
    )


def _line(view: PairView, curve: Curve) -> ChartLine:
    model = (view.base, view.variant)[curve.side].model.name
    source = "measured" if curve.measured else "published"
    points = tuple(_points(curve, f"{model}, {source}"))
    side = ("base", "variant")[curve.side]
    faint = " faint" if curve.faint else ""
    path = _path([(point.x, point.y) for point in points])
    return ChartLine(f"{side} {source}{faint}", f"{model} ({source})", path, points)


def _points(curve: Curve, name: str) -> Iterator[Point]:
    for numops, estimate in curve.summary.by_numops.items():
        if numops not in NUMOPS or not estimate.tally.total:
            continue
        tally, (low, high) = estimate.tally, estimate.interval
        words = (
            f"{name}, {numops} operations: {100 * tally.accuracy:.1f} % "
            f"({100 * low:.1f} to {100 * high:.1f}), {tally.correct} of {tally.total}"
        )
        x = round(_x(numops) + _APART * (2 * curve.side - 1), 1)
        yield Point(x, _y(tally.accuracy), _y(low), _y(high), words)


def _x(numops: int) -> float:
    step = (WIDTH - LEFT - RIGHT) / len(NUMOPS)
    return round(LEFT + step * (numops + 0.5), 1)


def _y(share: float) -> float:
    return round(HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP), 1)


def _path(places: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x},{y}" for x, y in places) if places else ""


FOREST_WIDTH, _NAMES, _FIGURES, _ROW = 760, 300, 150, 21


def forest(views: Mapping[str, Sequence[PairView]]) -> Forest | None:
    """The gains at numops >= 1 by experiment, published and measured."""
    found = [bar for some in views.values() for view in some for bar in _gains(view)]
    if not found:
        return None
    reach = max(max(abs(low), abs(high)) for _, _, _, low, high, _ in found)
    edge = 10 * (int(10 * reach) + 1)  # in points, up to the next ten

    def across(share: float) -> float:
        room = FOREST_WIDTH - _NAMES - _FIGURES
        return round(_NAMES + room * (100 * share + edge) / (2 * edge), 1)

    bars = [
        Bar(name, kind, _ROW * (n + 1.0), across(low), across(middle), across(high),
            f"{100 * middle:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})", holds)
        for n, (name, kind, middle, low, high, holds) in enumerate(found)
    ]  # fmt: skip
    step = 10 if edge <= 40 else 20  # noqa: PLR2004  # so that the numbers do not run together
    whole = range(-(edge // step) * step, edge + 1, step)
    ticks = tuple((across(each / 100), f"{each:+d}" if each else "0") for each in whole)
    return Forest(tuple(bars), ticks, across(0), FOREST_WIDTH, _ROW * (len(bars) + 2))


def _gains(view: PairView) -> Iterator[tuple[str, str, float, float, float, bool | None]]:
    name = f"{view.base.model.name} to {view.variant.model.name}"
    if view.published:
        middle, error = view.published.difference, view.published.margin
        yield name, "published", middle, middle - error, middle + error, None
    if view.measured:
        test = view.measured.nontrivial
        yield name, "measured", test.difference, *test.interval, view.holds
