"""The figures: the numbers they draw, and their appearance."""

import csv
import io
from collections.abc import Iterator
from math import sqrt
from pathlib import Path

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
from benchmark.report.figures import IMAGE_FORMATS, draw, save
from benchmark.report.layouts import FigureSpec, paper_figures
from fakes import colours

ROOT = Path(__file__).parents[3]
READABLE = 5.0
"""Difference of CIELAB lightness (0..100) at which adjacent shades of grey are distinguishable."""

FIGURES = {spec.id: spec for spec in paper_figures()}


def _panels(spec: FigureSpec, report: ReportData, *, with_published: bool = True) -> list[Axes]:
    return list(draw(spec, report, published=with_published).axes)


def _curves(axes: Axes) -> list[ErrorbarContainer]:
    return [curve for curve in axes.containers if isinstance(curve, ErrorbarContainer)]


def _heights(line: Line2D) -> list[float]:
    heights: list[float] = np.asarray(line.get_ydata(), dtype=float).tolist()
    return heights


def _bars(axes: Axes) -> Iterator[tuple[list[float], list[tuple[float, float]]]]:
    """Yield each curve's values and the ends of its error bars."""
    for container in _curves(axes):
        line, _, bars = container.lines
        ends = [(float(a[1]), float(b[1])) for a, b in bars[0].get_segments()]
        yield _heights(line), ends


def _table6() -> dict[str, list[float]]:
    with (ROOT / "fixtures/published/table6.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {row["model"]: [float(row[f"ops{n}"]) for n in range(8)] for row in rows[2:]}


@pytest.mark.parametrize("name", FIGURES)
def test_curves_differ_in_grey(name: str) -> None:
    """In greyscale, base and variant have distinguishable shades, neither of them very light."""
    base, variant = (
        116 * colours.luminance(bytes.fromhex(colour[1:])) ** (1 / 3) - 16
        for colour in FIGURES[name].colours
    )
    assert abs(base - variant) >= READABLE
    assert max(base, variant) <= 75


@pytest.mark.parametrize("name", FIGURES)
def test_curves_are_table_6(name: str, published_report: ReportData) -> None:
    """Each panel shows base and variant as printed in Table 6, and the dashed random baseline."""
    spec, printed = FIGURES[name], _table6()
    panels = [panel for row in spec.rows for panel in row]
    for panel, axes in zip(panels, _panels(spec, published_report), strict=True):
        pair = registry().pair(panel.pair)
        curves = list(_bars(axes))
        for key, (values, _) in zip((pair.base, pair.variant), curves, strict=True):
            assert values == pytest.approx(printed[registry().model(key).name], abs=0.006)
        random = [line for line in axes.lines if line.get_linestyle() == "--"]
        assert _heights(random[0]) == pytest.approx(list(random_row().values()))
        assert axes.get_title() == panel.title


def test_error_bars_are_the_papers(published_report: ReportData) -> None:
    """Published error bars are the normal approximation, clipped to 0..100."""
    axes = _panels(FIGURES["figure-1"], published_report)[0]
    (values, ends), _ = _bars(axes)
    model = published()["DeepSeek 7B"]
    for value, (low, high), tally in zip(values, ends, model.by_numops.values(), strict=True):
        margin = 100 * 1.96 * sqrt(value / 100 * (1 - value / 100) / tally.total)
        assert low == pytest.approx(max(0, value - margin), abs=0.01)
        assert high == pytest.approx(min(100, value + margin), abs=0.01)


def test_measured_over_published(report: ReportData) -> None:
    """A measured pair is drawn over its published curves, which are faint; others are not."""
    panels = _panels(FIGURES["figure-1"], report)
    by_title = {axes.get_title(): axes for axes in panels}
    curves = _curves(by_title["Llama 2 (7B)"])
    assert len(curves) == 4
    assert [curve.lines[0].get_alpha() for curve in curves] == [0.45, 0.45, 1.0, 1.0]
    assert len(by_title["DeepSeek (7B)"].containers) == 2
    values = list(_bars(by_title["Llama 2 (7B)"]))[3][0]
    assert set(values) == {100.0}  # the variant is right about everything


def test_missing_models_are_named(report: ReportData) -> None:
    """Without published curves, a panel without results is empty and names the missing models."""
    panels = _panels(FIGURES["figure-1"], report, with_published=False)
    by_title = {axes.get_title(): axes for axes in panels}
    assert len(by_title["Llama 2 (7B)"].containers) == 2
    empty = by_title["Gemma (8B)"]
    assert not empty.containers
    assert [text.get_text() for text in empty.texts] == ["no result of\nGemma 7B\nCodeGemma 7B"]


def test_one_missing_model_is_named(report: ReportData) -> None:
    """If one model of a pair was measured, it is drawn and the other is named."""
    panels = _panels(FIGURES["figure-2"], report, with_published=False)
    axes = next(panel for panel in panels if panel.get_title() == "Llemma (7B)")
    assert len(axes.containers) == 1
    assert [text.get_text() for text in axes.texts] == ["no result of\nLlemma 7B"]


@pytest.mark.parametrize("file_format", IMAGE_FORMATS)
def test_files_are_reproducible(file_format: str, published_report: ReportData) -> None:
    """Drawing the same results twice yields the same bytes."""
    figures = (_image(FIGURES["figure-2"], published_report, file_format) for _ in range(2))
    assert len(set(figures)) == 1


def test_text_stays_text(published_report: ReportData) -> None:
    """The text of an SVG is stored as text."""
    text = _image(FIGURES["figure-2"], published_report, "svg").decode()
    assert "OpenMath-Mistral (7B)" in text
    assert "Number of operations affecting box state" in text


def test_legend_of_a_narrow_figure(report: ReportData) -> None:
    """A stacked legend has a title; without published curves, markers are hollow."""
    spec = FIGURES["figure-1"]
    narrow = spec.model_copy(update={"rows": (spec.rows[0][2:3],)})
    figure = draw(narrow, report, published=False)
    (legend,) = figure.legends
    assert legend.get_title().get_text() == spec.legend
    assert spec.legend not in [text.get_text() for text in legend.get_texts()]
    base, variant = (line for line in legend.get_lines() if line.get_label() in spec.names)
    assert base.get_markerfacecolor() == variant.get_markerfacecolor() == "white"
    (wide,) = draw(spec, report).legends
    assert wide.get_title().get_text() == ""


@pytest.mark.parametrize("name", FIGURES)
def test_how_it_looks(name: str, published_report: ReportData, snapshot: SnapshotAssertion) -> None:
    """A figure equals its recorded image, which was checked by eye."""
    assert _image(FIGURES[name], published_report) == snapshot(extension_class=ImageExtension)


def test_how_measured_curves_look(report: ReportData, snapshot: SnapshotAssertion) -> None:
    """The same for measured curves over published ones."""
    image = _image(FIGURES["figure-1"], report)
    assert image == snapshot(extension_class=ImageExtension)


def _image(spec: FigureSpec, report: ReportData, file_format: str = "png") -> bytes:
    out = io.BytesIO()
    save(draw(spec, report), out, file_format, spec.title, dpi=60)
    return out.getvalue()
