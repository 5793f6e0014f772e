"""A report on disk: the page, the figures and the tables."""

from collections.abc import Iterator
from pathlib import Path

from benchmark.report.data import ReportData
from benchmark.report.figures import FORMS as FIGURE_FORMS
from benchmark.report.figures import draw, save
from benchmark.report.layouts import Layout, own_figure, papers_figures
from benchmark.report.page import page, tables
from benchmark.report.table_formats import FORMS
from benchmark.writing import write_text


def write_report(material: ReportData, out: Path, *, published: bool = True) -> list[Path]:
    """Write ``index.html``, ``figures/`` and ``tables/`` into the folder; what was written.

    With ``published`` set to False the figures show only what was measured.
    """
    return list(_written(material, out, published=published))


def _written(material: ReportData, out: Path, *, published: bool) -> Iterator[Path]:
    grids = tables(material)
    yield _write(out / "index.html", page(material, grids))
    for grid in grids:
        for ending, form in FORMS.items():
            yield _write(out / "tables" / f"{grid.id}.{ending}", form(grid))
    own = own_figure(material.pairs.values())
    for layout in (*papers_figures(), *([own] if own else [])):
        yield from _draw(layout, material, out / "figures", published=published)


def _write(path: Path, text: str) -> Path:
    write_text(path, [text])
    return path


def _draw(layout: Layout, material: ReportData, folder: Path, *, published: bool) -> Iterator[Path]:
    figure = draw(layout, material, published=published)
    folder.mkdir(parents=True, exist_ok=True)
    for form in FIGURE_FORMS:
        path = folder / f"{layout.id}.{form}"
        save(figure, path, form, layout.title)
        yield path
