"""Which pair stands in which panel."""

from benchmark.models.registry import registry
from benchmark.report.data import ReportData
from benchmark.report.layouts import own_figure, papers_figures


def test_panels_are_the_papers() -> None:
    """Figures 1 and 2 have the five pairs of their experiment, Figure 3 ten in two rows."""
    one, two, three = papers_figures()
    for layout, experiment in ((one, "code"), (two, "math")):
        (row,) = layout.rows
        wanted = {p.id for p in registry().pairs.values() if p.paper and p.experiment == experiment}
        assert {panel.pair for panel in row} == wanted
    assert [len(row) for row in three.rows] == [5, 5]
    models = registry().models
    for above, below in zip(*three.rows, strict=True):
        upper, lower = registry().pair(above.pair), registry().pair(below.pair)
        assert "code" not in models[upper.base].added
        assert "code" in models[lower.base].added


def test_no_figure_of_ones_own_without_own_pairs(published_material: ReportData) -> None:
    """Where only the paper's pairs are known there is nothing more to draw."""
    assert own_figure(published_material.pairs.values()) is None


def test_own_pairs_in_rows_of_five(published_material: ReportData) -> None:
    """Pairs that are not the paper's fill rows of five, in their order."""
    view = published_material.pairs["code-gemma-7b"]
    own = view.pair.model_copy(update={"paper": False})
    views = [
        type(view)(own, view.base, view.variant, None, {}, None, None)  # as if seven were there
        for _ in range(7)
    ]
    layout = own_figure(views)
    assert layout
    assert [len(row) for row in layout.rows] == [5, 2]
    assert layout.rows[0][0].title == "Gemma 7B to CodeGemma 7B"
