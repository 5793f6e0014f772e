"""Tables as files."""

import csv
import io
from html.parser import HTMLParser

import pytest

from benchmark.report.data import ReportData
from benchmark.report.page import tables
from benchmark.report.table_formats import FORMS, comma_separated, html, latex, markdown
from benchmark.report.table_model import TableCell, TableModel, TableRow, heading

HOSTILE = 'a|b\n<b>`*_[x](y)_*` & 5% $x_1^2$ #{}~\\ "q" </td><script>'


def _grid(text: str) -> TableModel:
    rows = (
        heading("part"),
        TableRow((TableCell(text), TableCell("65.54", "63.0 to 68.1", 0.6554))),
    )
    return TableModel(
        "table-9", "Table 9: a title", "A caption.", ("Model", "Overall (5,012)"), rows
    )


def test_markdown() -> None:
    """Title, heads, aligned columns, rows with intervals, caption."""
    assert markdown(_grid("Llama 2 7B")).splitlines() == [
        "### Table 9: a title",
        "",
        "| Model | Overall (5,012) |",
        "| :-- | --: |",
        "| **part** |  |",
        "| Llama 2 7B | 65.54 (63.0 to 68.1) |",
        "",
        "A caption.",
    ]


def test_markdown_takes_text_as_text() -> None:
    """Pipes and line ends break no row; nothing else is markup."""
    line = markdown(_grid(HOSTILE)).splitlines()[5]
    unescaped = line.replace("\\\\", "").replace("\\|", "")
    assert unescaped.count("|") == 3
    assert "\\<script\\>" in line
    assert "\\`\\*\\_\\[x\\](y)" in line


def test_latex() -> None:
    """A longtable of booktabs, every special character escaped, braces in pairs."""
    text = latex(_grid(HOSTILE))
    assert r" & 65.54 \\*" + "\n" + r" & \tiny 63.0--68.1 \\" in text
    assert r"\& 5\% \$x\_1\textasciicircum{}2\$ \#\{\}\textasciitilde{}\textbackslash{}" in text
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


def test_latex_numbers_its_tables_itself() -> None:
    """The caption does not begin with a number of its own; a label is there to refer to."""
    text = latex(_grid("Llama 2 7B"))
    assert r"\caption{A title. A caption.}" in text
    assert r"\label{tab:table-9}" in text
    assert "Overall \\\\\n & \\tiny (5,012) \\\\" in text


_TEXT, _SMALL, _GAP = 7 * 0.569, 5 * 0.681, 3.0
"""In points: a digit of cmr7 and of cmr5 (a comma is 0.6 of it), and twice \\tabcolsep."""


def test_latex_of_the_widest_table_fits_a_page(published_material: ReportData) -> None:
    """By the widths of Computer Modern, "measured" rows too, Table 6 is under 455 points."""
    (grid,) = (each for each in tables(published_material) if each.id == "table-6")
    rows = [line for line in latex(grid).splitlines() if line.count(" & ") == 10]
    assert len(rows) > 2 * 29

    def width(cell: str) -> float:
        small = cell.startswith(r"\tiny ")
        plain = cell.removeprefix(r"\tiny ").removesuffix(r"\\*").removesuffix(r"\\").strip()
        plain = plain.replace("--", "-").replace(r"$\geq$", ">")
        narrow = sum(plain.count(mark) for mark in ".,")
        return (len(plain) - 0.4 * narrow) * (_SMALL if small else _TEXT)

    cells = [line.split(" & ") for line in rows]
    widest = [max(width(row[column].strip()) for row in cells) for column in range(11)]
    assert sum(widest) + len(", measured") * _TEXT + 10 * _GAP < 455


def test_csv_of_rows_and_of_records(published_material: ReportData) -> None:
    """Tables of words are written row by row, with their part; those of figures by the figure."""
    (row,) = csv.DictReader(io.StringIO(comma_separated(_grid(HOSTILE))))
    assert row == {"part": "part", "Model": HOSTILE, "Overall (5,012)": "65.54"}
    grids = {grid.id: grid for grid in tables(published_material)}
    rows = list(csv.DictReader(io.StringIO(comma_separated(grids["table-6"]))))
    assert len(rows) == 29 * 10
    assert {row["source"] for row in rows} == {"published"}


class _Cells(HTMLParser):
    """Elements by name, and the texts of cells."""

    def __init__(self) -> None:
        super().__init__()
        self.names = [""]
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.names.append(tag)

    def handle_data(self, data: str) -> None:
        if self.names[-1] in {"td", "th", "small"} and data.strip():
            self.texts.append(data.strip())


def test_html() -> None:
    """A page with one table; hostile text in it is text."""
    parser = _Cells()
    parser.feed(html(_grid("<script>alert(1)</script>")))
    assert "script" not in parser.names
    assert parser.texts == [
        "Model",
        "Overall (5,012)",
        "part",
        "<script>alert(1)</script>",
        "65.54",
        "63.0 to 68.1",
    ]


@pytest.mark.parametrize("form", FORMS)
def test_every_table_has_every_form(form: str, material: ReportData) -> None:
    """Tables 1, 3, 4 and 6 are written in each form, with their title or figures."""
    grids = tables(material)
    assert [grid.id for grid in grids] == ["table-1", "table-3", "table-4", "table-6"]
    for grid in grids:
        assert "Llama" in FORMS[form](grid)
