"""Figures as they are drawn: the figures behind them, and how they look."""

import csv
import io
from collections.abc import Callable, Iterator
from math import sqrt
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.lines import Line2D
from syrupy.assertion import SnapshotAssertion

from benchmark.models.published import published, random_row
from benchmark.models.registry import registry
from benchmark.pytest_plugin.snapshots.images import ImageExtension
from benchmark.report.data import ReportData
from benchmark.report.figures import FORMS, draw, save
from benchmark.report.layouts import Layout, papers_figures

ROOT = Path(__file__).parents[3]
READABLE = 5.0
"""Of lightness in CIELAB (0..100): shades of grey so far apart can be told apart side by side."""

LAYOUTS = {layout.id: layout for layout in papers_figures()}


def _panels(layout: Layout, material: ReportData, *, with_published: bool = True) -> list[Axes]:
    return list(draw(layout, material, published=with_published).axes)


def _curves(axes: Axes) -> list[ErrorbarContainer]:
    return [each for each in axes.containers if isinstance(each, ErrorbarContainer)]


def _heights(line: Line2D) -> list[float]:
    heights: list[float] = np.asarray(line.get_ydata(), dtype=float).tolist()
    return heights


def _bars(axes: Axes) -> Iterator[tuple[list[float], list[tuple[float, float]]]]:
    """Each curve's values and its error bars' ends."""
    for container in _curves(axes):
        line, _, bars = container.lines
        ends = [(float(a[1]), float(b[1])) for a, b in bars[0].get_segments()]
        yield _heights(line), ends


def _table6() -> dict[str, list[float]]:
    with (ROOT / "fixtures/published/table6.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {row["model"]: [float(row[f"ops{n}"]) for n in range(8)] for row in rows[2:]}


@pytest.mark.parametrize("name", LAYOUTS)
def test_curves_differ_in_grey(name: str, fakes: Callable[[str], ModuleType]) -> None:
    """Printed without colour, base and variant are two shades, neither as light as the paper."""
    base, variant = (
        116 * fakes("colours").luminance(bytes.fromhex(colour[1:])) ** (1 / 3) - 16
        for colour in LAYOUTS[name].colours
    )
    assert abs(base - variant) >= READABLE
    assert max(base, variant) <= 75


@pytest.mark.parametrize("name", LAYOUTS)
def test_curves_are_table_6(name: str, published_material: ReportData) -> None:
    """Each panel has base and variant as printed in Table 6, and random dashed."""
    layout, printed = LAYOUTS[name], _table6()
    panels = [panel for row in layout.rows for panel in row]
    for panel, axes in zip(panels, _panels(layout, published_material), strict=True):
        pair = registry().pair(panel.pair)
        drawn = list(_bars(axes))
        for key, (values, _) in zip((pair.base, pair.variant), drawn, strict=True):
            assert values == pytest.approx(printed[registry().model(key).name], abs=0.006)
        random = [line for line in axes.lines if line.get_linestyle() == "--"]
        assert _heights(random[0]) == pytest.approx(list(random_row().values()))
        assert axes.get_title() == panel.title


def test_error_bars_are_the_papers(published_material: ReportData) -> None:
    """Published error bars are the normal approximation, cut at 0 and 100."""
    axes = _panels(LAYOUTS["figure-1"], published_material)[0]
    (values, ends), _ = _bars(axes)
    model = published()["DeepSeek 7B"]
    for value, (low, high), tally in zip(values, ends, model.by_numops.values(), strict=True):
        margin = 100 * 1.96 * sqrt(value / 100 * (1 - value / 100) / tally.total)
        assert low == pytest.approx(max(0, value - margin), abs=0.01)
        assert high == pytest.approx(min(100, value + margin), abs=0.01)


def test_measured_over_published(material: ReportData) -> None:
    """A measured pair is drawn over its published curves, which step back; others are as before."""
    panels = _panels(LAYOUTS["figure-1"], material)
    by_title = {axes.get_title(): axes for axes in panels}
    curves = _curves(by_title["Llama 2 (7B)"])
    assert len(curves) == 4
    assert [curve.lines[0].get_alpha() for curve in curves] == [0.45, 0.45, 1.0, 1.0]
    assert len(by_title["DeepSeek (7B)"].containers) == 2
    values = list(_bars(by_title["Llama 2 (7B)"]))[3][0]
    assert set(values) == {100.0}  # the variant is right about everything


def test_missing_models_are_named(material: ReportData) -> None:
    """Without the published curves a panel without results is empty and says of what."""
    panels = _panels(LAYOUTS["figure-1"], material, with_published=False)
    by_title = {axes.get_title(): axes for axes in panels}
    assert len(by_title["Llama 2 (7B)"].containers) == 2
    empty = by_title["Gemma (8B)"]
    assert not empty.containers
    assert [text.get_text() for text in empty.texts] == ["no result of\nGemma 7B\nCodeGemma 7B"]


def test_one_missing_model_is_named(material: ReportData) -> None:
    """Where one of a pair was measured it is drawn, and the other is named."""
    panels = _panels(LAYOUTS["figure-2"], material, with_published=False)
    axes = next(each for each in panels if each.get_title() == "Llemma (7B)")
    assert len(axes.containers) == 1
    assert [text.get_text() for text in axes.texts] == ["no result of\nLlemma 7B"]


@pytest.mark.parametrize("form", FORMS)
def test_the_same_figure_is_the_same_file(form: str, published_material: ReportData) -> None:
    """Two drawings of the same results are the same file, byte for byte."""
    figures = (_image(LAYOUTS["figure-2"], published_material, form) for _ in range(2))
    assert len(set(figures)) == 1


def test_text_stays_text(published_material: ReportData) -> None:
    """In an SVG the words can be found and read out."""
    text = _image(LAYOUTS["figure-2"], published_material, "svg").decode()
    assert "OpenMath-Mistral (7B)" in text
    assert "Number of operations affecting box state" in text


def test_legend_of_few_panels(material: ReportData) -> None:
    """In one panel the legend is headed by what is compared; measured alone, markers are hollow."""
    one = LAYOUTS["figure-1"]
    narrow = one.model_copy(update={"rows": (one.rows[0][2:3],)})
    figure = draw(narrow, material, published=False)
    (legend,) = figure.legends
    assert legend.get_title().get_text() == one.legend
    assert one.legend not in [text.get_text() for text in legend.get_texts()]
    base, variant = (line for line in legend.get_lines() if line.get_label() in one.names)
    assert base.get_markerfacecolor() == variant.get_markerfacecolor() == "white"
    (wide,) = draw(one, material).legends
    assert wide.get_title().get_text() == ""


@pytest.mark.parametrize("name", LAYOUTS)
def test_how_it_looks(
    name: str, published_material: ReportData, snapshot: SnapshotAssertion
) -> None:
    """A figure looks as it did when somebody last looked at it."""
    assert _image(LAYOUTS[name], published_material) == snapshot(extension_class=ImageExtension)


def test_how_measured_curves_look(material: ReportData, snapshot: SnapshotAssertion) -> None:
    """The same of a measured pair over the published ones."""
    image = _image(LAYOUTS["figure-1"], material)
    assert image == snapshot(extension_class=ImageExtension)


def _image(layout: Layout, material: ReportData, form: str = "png") -> bytes:
    out = io.BytesIO()
    save(draw(layout, material), out, form, layout.title, dpi=60)
    return out.getvalue()
