"""Writing a report: the page, the figures and the tables."""

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from benchmark.errors import SettingError, first_line
from benchmark.extras import check_extra
from benchmark.folder_writing import replacing_folder
from benchmark.report.data import ReportData
from benchmark.report.figures import IMAGE_FORMATS, draw, save, variable
from benchmark.report.layouts import FigureSpec, other_pairs_figure, paper_figures
from benchmark.report.page import page, tables
from benchmark.report.table_formats import TABLE_FORMATS
from benchmark.writing import ensure_folder, write_text

_PAGE = "index.html"


def write_report(report: ReportData, out: Path, *, published: bool = True) -> list[Path]:
    """Write ``index.html``, ``figures/`` and ``tables/`` into a folder; return the files' paths.

    A folder with an older report is replaced as a whole. In one that has other files, the two
    subfolders are replaced first, and then the page, which needs no other file. With
    ``published=False`` the figures show only measured results.

    Raises:
        MissingLibraryError: without matplotlib.
        SettingError: if matplotlib refuses the environment.
    """
    check_extra("matplotlib", "report", "report")
    _check_matplotlib()
    with replacing_folder(out, last=_PAGE) as folder:
        written = list(_write_all(report, folder, published=published))
    return [out / path.relative_to(folder) for path in written]


def _check_matplotlib() -> None:
    """Import matplotlib with its own settings: a user's may be damaged, or a pipe."""
    spec = find_spec("matplotlib")
    package = Path(str(spec.origin)).parent if spec else Path()
    settings = package / "mpl-data" / "matplotlibrc"
    try:
        with variable("MATPLOTLIBRC", str(settings)):
            import_module("matplotlib")  # fails for a backend of an unknown name
    except ValueError as error:
        raise SettingError(
            f"matplotlib: {first_line(error)}; check the variable MPLBACKEND, or unset it"
        ) from error


def _write_all(report: ReportData, out: Path, *, published: bool) -> Iterator[Path]:
    report_tables = tables(report)
    yield _write(out / _PAGE, page(report, report_tables))
    for table in report_tables:
        for extension, render in TABLE_FORMATS.items():
            yield _write(out / "tables" / f"{table.id}.{extension}", render(table))
    other_pairs = other_pairs_figure(report.pairs.values())
    for spec in (*paper_figures(), *([other_pairs] if other_pairs else [])):
        yield from _write_figure(spec, report, out / "figures", published=published)


def _write(path: Path, text: str) -> Path:
    write_text(path, [text])
    return path


def _write_figure(
    spec: FigureSpec, report: ReportData, folder: Path, *, published: bool
) -> Iterator[Path]:
    figure = draw(spec, report, published=published)
    ensure_folder(folder)
    for extension in IMAGE_FORMATS:
        path = folder / f"{spec.id}.{extension}"
        save(figure, path, extension, spec.title)
        yield path
