"""The forest plot: groups, the axis, and gains beyond it."""

from dataclasses import replace

from benchmark.report.data import PairView, ReportData
from benchmark.report.forest import Forest, forest
from benchmark.stats.published import UnpairedTest


def _all(report: ReportData) -> list[PairView]:
    return list(report.pairs.values())


def _value(plot: Forest, position: float) -> float:
    """Return the points at a position, by the labels of the first and the last tick."""
    first, last = plot.ticks[0], plot.ticks[-1]
    low, high = (float(tick.label.replace("\N{MINUS SIGN}", "-")) for tick in (first, last))
    return low + (high - low) * position / 100


def test_gains_are_at_their_positions(published_report: ReportData) -> None:
    """Each estimate and each end of an interval is at its value on the axis."""
    plot = forest({"all": _all(published_report)})
    assert plot
    (group,) = plot.groups
    assert len(group.rows) == len(published_report.pairs)
    for row, view in zip(group.rows, published_report.pairs.values(), strict=True):
        assert view.published
        assert view.published.interval
        shown = [row.low, row.estimate, row.high]
        low, high = view.published.interval
        expected = [100 * share for share in (low, view.published.difference, high)]
        for position, points in zip(shown, expected, strict=True):
            assert abs(_value(plot, position) - points) < 0.01
        assert row.beyond == 0
    assert abs(_value(plot, plot.zero)) < 0.01
    assert forest({}) is None
    assert forest({"none": []}) is None


def test_a_control_does_not_stretch_the_axis(published_report: ReportData) -> None:
    """A control's large gain is at the end of the axis, which is that of the other pairs."""
    views = _all(published_report)
    pair = views[0].pair.model_copy(update={"experiment": "control"})
    for difference, beyond, end in ((0.9, 1, 100), (-0.9, -1, 0)):
        test = UnpairedTest(difference, 0.01)
        control = replace(views[0], pair=pair, published=test)
        plot = forest({"control": [control], "paper": views})
        without = forest({"paper": views})
        assert plot
        assert without
        assert plot.ticks == without.ticks
        (row,) = plot.groups[0].rows
        assert (row.beyond, row.low, row.estimate, row.high) == (beyond, end, end, end)
        other = forest({"mine": [replace(control, pair=views[0].pair)], "paper": views})
        assert other
        assert other.ticks != without.ticks
        assert other.groups[0].rows[0].beyond == 0


def test_the_measured_gain_of_a_pair_is_first(report: ReportData) -> None:
    """The row of the runs is above the published row of the same pair."""
    plot = forest({"one": [report.pairs["code-llama2-7b"]]})
    assert plot
    assert [row.gain.source for row in plot.groups[0].rows] == ["measured", "published"]


def test_only_controls_have_an_axis(published_report: ReportData) -> None:
    """Without other pairs the axis covers the controls."""
    view = _all(published_report)[0]
    pair = view.pair.model_copy(update={"experiment": "control"})
    plot = forest({"one": [replace(view, pair=pair, published=UnpairedTest(0.9, 0.01))]})
    assert plot
    assert plot.groups[0].rows[0].beyond == 0
