"""The page's charts are drawn at the positions of their figures."""

import re
from itertools import pairwise

import pytest

from benchmark.records import Outcome
from benchmark.report.charts import FEW_QUERIES, SHAPES, Series, chart, offset, panel
from benchmark.report.data import ReportData
from benchmark.stats.summary import summarize


def test_points_are_at_their_accuracy(published_report: ReportData) -> None:
    """Each point, its interval and its path are at the published accuracy."""
    view = published_report.pairs["code-llama2-13b"]
    base, variant = panel(view, published_report.chance).curves
    for curve, model in ((base, view.base), (variant, view.variant)):
        assert model.published
        estimates = model.published.by_numops.values()
        for point, estimate in zip(curve.points, estimates, strict=True):
            assert 100 - point.y == pytest.approx(100 * estimate.tally.accuracy, abs=0.01)
            assert 100 - point.low == pytest.approx(100 * estimate.interval.low, abs=0.01)
            assert 100 - point.high == pytest.approx(100 * estimate.interval.high, abs=0.01)
        heights = [float(y) for y in re.findall(r",([\d.]+)", curve.path)]
        assert heights == [point.y for point in curve.points]
    assert base.css_class == "base published"


def test_points_are_above_their_numops(published_report: ReportData) -> None:
    """A point has the position of its numops' tick, and ticks have equal distances."""
    drawn = panel(published_report.pairs["code-llama2-7b"], published_report.chance)
    positions = [tick.position for tick in drawn.x_ticks]
    for curve in drawn.curves:
        assert [point.x for point in curve.points] == positions
    steps = [after - before for before, after in pairwise(positions)]
    assert steps == [pytest.approx(100 / 8)] * 7


def test_measured_curves_come_last(report: ReportData) -> None:
    """Measured curves are drawn over published ones, which are faint."""
    drawn = panel(report.pairs["code-llama2-7b"], report.chance)
    assert [curve.css_class for curve in drawn.curves] == [
        "base published faint",
        "variant published faint",
        "base measured",
        "variant measured",
    ]


def test_tooltip_of_a_point(published_report: ReportData) -> None:
    """A point's tooltip has model, source, accuracy, interval and counts."""
    drawn = panel(published_report.pairs["code-llama2-7b"], published_report.chance)
    assert drawn.curves[0].points[1].label == (
        "Llama 2 7B, published, 1 change: 5.0 % (3.8 to 6.1), 70 of 1410"
    )


def test_points_of_few_queries_are_not_connected() -> None:
    """A point of fewer queries than the limit is marked, and the path leaves it out."""
    numops = [0] * FEW_QUERIES + [1] * (FEW_QUERIES - 1) + [2] * (FEW_QUERIES + 1)
    outcomes = [Outcome(number, (n,), (True,)) for number, n in enumerate(numops)]
    series = Series("a", summarize(outcomes), "run", SHAPES[0])
    (curve,) = chart([series], {}, range(3)).curves
    assert [point.few for point in curve.points] == [False, True, False]
    assert curve.path.count(",") == 2


@pytest.mark.parametrize("count", [1, 2, 5, 40])
def test_offsets_are_centered(count: int) -> None:
    """The series of a chart are around their numops, at most 12 pixels from it."""
    offsets = [offset(number, count) for number in range(count)]
    assert offsets == sorted(offsets)
    assert offsets == [-pixels for pixels in reversed(offsets)]
    assert max(offsets) <= 12
    assert len(set(offsets)) == count or count > 24
