"""The page's drawings stand where their figures say."""

import re

import pytest

from benchmark.report.charts import BOTTOM, HEIGHT, TOP, forest, panel
from benchmark.report.data import ReportData


def _accuracy(y: float) -> float:
    """The accuracy in per cent at a height of the panel."""
    return 100 * (HEIGHT - BOTTOM - y) / (HEIGHT - BOTTOM - TOP)


def test_points_stand_at_their_accuracy(published_material: ReportData) -> None:
    """Each point, its interval and the path through it stand at the published accuracy."""
    view = published_material.pairs["code-llama2-13b"]
    base, variant = panel(view, published_material.chance).lines
    for line, model in ((base, view.base), (variant, view.variant)):
        assert model.published
        estimates = model.published.by_numops.values()
        for point, estimate in zip(line.points, estimates, strict=True):
            assert _accuracy(point.y) == pytest.approx(100 * estimate.tally.accuracy, abs=0.05)
            assert _accuracy(point.low) == pytest.approx(100 * estimate.interval.low, abs=0.05)
            assert _accuracy(point.high) == pytest.approx(100 * estimate.interval.high, abs=0.05)
        heights = [float(y) for y in re.findall(r",([\d.]+)", line.path)]
        assert heights == [point.y for point in line.points]
    assert base.kind == "base published"


def test_measured_lines_come_last(material: ReportData) -> None:
    """Measured curves lie over published ones, which are faint."""
    kinds = [line.kind for line in panel(material.pairs["code-llama2-7b"], material.chance).lines]
    assert kinds == [
        "base published faint",
        "variant published faint",
        "base measured",
        "variant measured",
    ]


def test_words_of_a_point(published_material: ReportData) -> None:
    """A point says model, source, accuracy, interval and counts."""
    line = panel(published_material.pairs["code-llama2-7b"], published_material.chance).lines[0]
    assert line.points[1].words == (
        "Llama 2 7B, published, 1 operations: 5.0 % (3.8 to 6.1), 70 of 1410"
    )


def test_forest(published_material: ReportData) -> None:
    """Bars lie to the right of zero where the variant gains, and within their intervals."""
    views = {"all": list(published_material.pairs.values())}
    drawn = forest(views)
    assert drawn
    assert len(drawn.bars) == len(views["all"])
    for bar, view in zip(drawn.bars, views["all"], strict=True):
        assert view.published
        assert (bar.middle > drawn.zero) == (view.published.difference > 0)
        assert bar.low < bar.middle < bar.high
    rows = [bar.y for bar in drawn.bars]
    assert rows == sorted(set(rows))
    assert forest({}) is None
