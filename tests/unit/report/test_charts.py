"""The page's charts are drawn at the positions of their figures."""

import re

import pytest

from benchmark.report.charts import BOTTOM, HEIGHT, TOP, forest, panel
from benchmark.report.data import ReportData


def _accuracy(y: float) -> float:
    """Return the accuracy in per cent at a height of the panel."""
    return 100 * (HEIGHT - BOTTOM - y) / (HEIGHT - BOTTOM - TOP)


def test_points_are_at_their_accuracy(published_report: ReportData) -> None:
    """Each point, its interval and its path are at the published accuracy."""
    view = published_report.pairs["code-llama2-13b"]
    base, variant = panel(view, published_report.chance).curves
    for curve, model in ((base, view.base), (variant, view.variant)):
        assert model.published
        estimates = model.published.by_numops.values()
        for point, estimate in zip(curve.points, estimates, strict=True):
            assert _accuracy(point.y) == pytest.approx(100 * estimate.tally.accuracy, abs=0.05)
            assert _accuracy(point.low) == pytest.approx(100 * estimate.interval.low, abs=0.05)
            assert _accuracy(point.high) == pytest.approx(100 * estimate.interval.high, abs=0.05)
        heights = [float(y) for y in re.findall(r",([\d.]+)", curve.path)]
        assert heights == [point.y for point in curve.points]
    assert base.css_class == "base published"


def test_measured_curves_come_last(report: ReportData) -> None:
    """Measured curves are drawn over published ones, which are faint."""
    chart = panel(report.pairs["code-llama2-7b"], report.chance)
    assert [curve.css_class for curve in chart.curves] == [
        "base published faint",
        "variant published faint",
        "base measured",
        "variant measured",
    ]


def test_tooltip_of_a_point(published_report: ReportData) -> None:
    """A point's tooltip has model, source, accuracy, interval and counts."""
    chart = panel(published_report.pairs["code-llama2-7b"], published_report.chance)
    assert chart.curves[0].points[1].label == (
        "Llama 2 7B, published, 1 operations: 5.0 % (3.8 to 6.1), 70 of 1410"
    )


def test_forest(published_report: ReportData) -> None:
    """Gains are to the right of zero, and estimates are within their intervals."""
    views = {"all": list(published_report.pairs.values())}
    chart = forest(views)
    assert chart
    assert len(chart.bars) == len(views["all"])
    for bar, view in zip(chart.bars, views["all"], strict=True):
        assert view.published
        assert (bar.estimate > chart.zero) == (view.published.difference > 0)
        assert bar.low < bar.estimate < bar.high
    rows = [bar.y for bar in chart.bars]
    assert rows == sorted(set(rows))
    assert forest({}) is None
