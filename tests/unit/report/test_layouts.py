"""The pairs in the panels of the figures."""

from benchmark.models.registry import registry
from benchmark.report.data import ReportData
from benchmark.report.layouts import other_pairs_figure, paper_figures


def test_panels_of_the_paper() -> None:
    """Figures 1 and 2 have the five pairs of their experiment; Figure 3 has ten in two rows."""
    one, two, three = paper_figures()
    pairs = registry().pairs.values()
    for spec, experiment in ((one, "code"), (two, "math")):
        (row,) = spec.rows
        expected = {pair.id for pair in pairs if pair.paper and pair.experiment == experiment}
        assert {panel.pair for panel in row} == expected
    assert [len(row) for row in three.rows] == [5, 5]
    models = registry().models
    for above, below in zip(*three.rows, strict=True):
        upper, lower = registry().pair(above.pair), registry().pair(below.pair)
        assert "code" not in models[upper.base].added
        assert "code" in models[lower.base].added


def test_no_figure_without_other_pairs(published_report: ReportData) -> None:
    """With only the paper's pairs there is no figure of other pairs."""
    assert other_pairs_figure(published_report.pairs.values()) is None


def test_other_pairs_in_rows_of_five(published_report: ReportData) -> None:
    """Pairs that are not the paper's fill rows of five, in order."""
    view = published_report.pairs["code-gemma-7b"]
    pair = view.pair.model_copy(update={"paper": False})
    views = [type(view)(pair, view.base, view.variant, None, {}, None) for _ in range(7)]
    spec = other_pairs_figure(views)
    assert spec
    assert [len(row) for row in spec.rows] == [5, 2]
    assert spec.rows[0][0].title == "Gemma 7B to CodeGemma 7B"
