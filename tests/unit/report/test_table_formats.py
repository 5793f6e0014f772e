"""File formats of tables."""

import csv
import io
from html.parser import HTMLParser

import pytest

from benchmark.report.data import ReportData
from benchmark.report.page import tables
from benchmark.report.table_formats import TABLE_FORMATS, csv_text, html, latex, markdown
from benchmark.report.table_model import TableCell, TableModel, TableRow, heading_row

HOSTILE = 'a|b\n<b>`*_[x](y)_*` & 5% $x_1^2$ #{}~\\ "q" </td><script>'


def _table(text: str) -> TableModel:
    rows = (
        heading_row("part"),
        TableRow((TableCell(text), TableCell("65.54", "63.0 to 68.1", 0.6554))),
    )
    return TableModel(
        "table-9", "Table 9: a title", "A caption.", ("Model", "Overall (5,012)"), rows
    )


def test_markdown() -> None:
    """A table has title, headings, aligned columns, rows with intervals, and caption."""
    assert markdown(_table("Llama 2 7B")).splitlines() == [
        "### Table 9: a title",
        "",
        "| Model | Overall (5,012) |",
        "| :-- | --: |",
        "| **part** |  |",
        "| Llama 2 7B | 65.54 (63.0 to 68.1) |",
        "",
        "A caption.",
    ]


def test_markdown_is_escaped() -> None:
    """Pipes and line breaks do not break a row, and text is not read as markup."""
    line = markdown(_table(HOSTILE)).splitlines()[5]
    unescaped = line.replace("\\\\", "").replace("\\|", "")
    assert unescaped.count("|") == 3
    assert "\\<script\\>" in line
    assert "\\`\\*\\_\\[x\\](y)" in line


def test_latex() -> None:
    """A longtable has every special character escaped and balanced braces."""
    text = latex(_table(HOSTILE))
    assert r" & 65.54 \\*" + "\n" + r" & \tiny 63.0--68.1 \\" in text
    assert r"\& 5\% \$x\_1\textasciicircum{}2\$ \#\{\}\textasciitilde{}\textbackslash{}" in text
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


def test_latex_numbers_the_tables() -> None:
    """The caption has no number of its own, and there is a label."""
    text = latex(_table("Llama 2 7B"))
    assert r"\caption{A title. A caption.}" in text
    assert r"\label{tab:table-9}" in text
    assert "Overall \\\\\n & \\tiny (5,012) \\\\" in text


_TEXT, _TINY, _GAP = 7 * 0.569, 5 * 0.681, 3.0
"""In points: a digit in cmr7 and in cmr5 (a comma is 0.6 of it), and twice \\tabcolsep."""


def test_latex_of_the_widest_table_fits_a_page(published_report: ReportData) -> None:
    """In Computer Modern, Table 6 with "measured" rows is narrower than 455 points."""
    (table,) = (table for table in tables(published_report) if table.id == "table-6")
    rows = [line for line in latex(table).splitlines() if line.count(" & ") == 10]
    assert len(rows) > 2 * 29

    def width(cell: str) -> float:
        tiny = cell.startswith(r"\tiny ")
        plain = cell.removeprefix(r"\tiny ").removesuffix(r"\\*").removesuffix(r"\\").strip()
        plain = plain.replace("--", "-").replace(r"$\geq$", ">")
        narrow = sum(plain.count(mark) for mark in ".,")
        return (len(plain) - 0.4 * narrow) * (_TINY if tiny else _TEXT)

    cells = [line.split(" & ") for line in rows]
    widest = [max(width(row[column].strip()) for row in cells) for column in range(11)]
    assert sum(widest) + len(", measured") * _TEXT + 10 * _GAP < 455


def test_csv_of_rows_and_of_records(published_report: ReportData) -> None:
    """Tables of text have one line per row, with their part; those of figures one per record."""
    (row,) = csv.DictReader(io.StringIO(csv_text(_table(HOSTILE))))
    assert row == {"part": "part", "Model": HOSTILE, "Overall (5,012)": "65.54"}
    report_tables = {table.id: table for table in tables(published_report)}
    rows = list(csv.DictReader(io.StringIO(csv_text(report_tables["table-6"]))))
    assert len(rows) == 29 * 10
    assert {row["source"] for row in rows} == {"published"}


class _Cells(HTMLParser):
    """The names of elements, and the texts of cells."""

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
    """The page has one table, and hostile text in it is text."""
    parser = _Cells()
    parser.feed(html(_table("<script>alert(1)</script>")))
    assert "script" not in parser.names
    assert parser.texts == [
        "Model",
        "Overall (5,012)",
        "part",
        "<script>alert(1)</script>",
        "65.54",
        "63.0 to 68.1",
    ]


@pytest.mark.parametrize("file_format", TABLE_FORMATS)
def test_every_table_in_every_format(file_format: str, report: ReportData) -> None:
    """The tables of runs and Tables 1, 3, 4 and 6 can be written in each format."""
    report_tables = tables(report)
    paper_tables = ["table-1", "table-3", "table-4", "table-6"]
    own_tables = ["table-runs", "table-errors", "table-groups", "table-odds"]
    assert [table.id for table in report_tables] == [*own_tables, *paper_tables]
    for table in report_tables:
        assert "Llama" in TABLE_FORMATS[file_format](table)
