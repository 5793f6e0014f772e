"""A history as an HTML page in one file, which opens from disk."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.history.trends import History, Trend
from benchmark.report.templates import asset, csp_hash, template_environment

WIDTH, HEIGHT, MARGIN = 600, 90, 6
"""Of a chart, in its own units."""

MOST_POINTS = 2000
"""Latest values that a chart shows."""


@dataclass(frozen=True, slots=True)
class TrendChart:
    """A trend, and the points of its line: ``x,y`` pairs, and those in a drift."""

    trend: Trend
    line: str
    drifting: Sequence[tuple[float, float]]
    low: float
    high: float


def history_page(history: History, title: str) -> str:
    """Return the page."""
    style = asset("style.css")
    return (
        template_environment()
        .get_template("history.html.jinja")
        .render(
            title=title,
            history=history,
            charts=[_chart(trend, len(history.entries)) for trend in history.trends],
            size=(WIDTH, HEIGHT),
            style=style,
            style_hash=csp_hash(style),
        )
    )


def _chart(trend: Trend, runs: int) -> TrendChart:
    low, high = min(trend.values), max(trend.values)
    alarms = trend.drift.alarms
    points = [
        (_place(number, 0, runs - 1, WIDTH), HEIGHT - _place(value, low, high, HEIGHT))
        for number, value in zip(trend.runs, trend.values, strict=True)
    ][-MOST_POINTS:]
    drifting = [p for p, alarm in zip(points, alarms[-len(points) :], strict=True) if alarm]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return TrendChart(trend, line, drifting, low, high)


def _place(value: float, low: float, high: float, length: int) -> float:
    """Return where a value is on an axis; in the middle, if all are the same."""
    share = 0.5 if low == high else (value / 2 - low / 2) / (high / 2 - low / 2)
    return MARGIN + share * (length - 2 * MARGIN)
