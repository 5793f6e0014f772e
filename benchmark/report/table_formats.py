"""File formats of tables: Markdown, CSV, LaTeX and HTML."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from benchmark import output
from benchmark.report.table_model import TableCell, TableModel, TableRow, Value
from benchmark.report.templates import template_environment

_NUMBER = re.compile(r"[+-]?[\d.,]+( ?%)?|[+-]")
"""A figure of the benchmark's own, which may begin with a sign."""


def markdown(table: TableModel) -> str:
    """Return a pipe table with title and caption."""
    align = [":--" if n < table.text_columns else "--:" for n in range(len(table.columns))]
    columns = map(output.markdown, table.columns)
    lines = [f"### {output.markdown(table.title)}", "", _markdown_row(columns)]
    lines += [_markdown_row(align), *(_markdown_table_row(row, table) for row in table.rows)]
    return "\n".join([*lines, "", output.markdown(table.caption), ""])


def latex(table: TableModel) -> str:
    """Return a ``longtable`` with booktabs rules, which breaks across pages.

    Comments in its first lines name the required packages. The details of the cells (intervals)
    are in a row below, so that eleven columns fit the width of a page. LaTeX numbers the caption.
    """
    columns = "l" * table.text_columns + "r" * (len(table.columns) - table.text_columns)
    head = list(_latex_head(table.columns))
    title = re.sub(r"^Table \d+: ", "", table.title)
    lines = [
        r"% \usepackage{booktabs,longtable}",
        r"% \usepackage{amssymb} % for check marks",
        "% one-column layout; Table 6 needs a width of 455pt: a page with margins of one inch",
        r"\begingroup\scriptsize\setlength{\tabcolsep}{1.5pt}",
        rf"\begin{{longtable}}{{@{{}}{columns}@{{}}}}",
        rf"\caption{{{output.latex(f'{title[:1].upper()}{title[1:]}. {table.caption}')}}}",
        rf"\label{{tab:{table.id}}} \\",
        r"\toprule",
        *head,
        r"\midrule",
        r"\endfirsthead",
        r"\toprule",
        *head,
        r"\midrule",
        r"\endhead",
        r"\bottomrule",
        r"\endfoot",
        *(line for row in table.rows for line in _latex_row(row, len(table.columns))),
        r"\end{longtable}",
        r"\endgroup",
        "",
    ]
    return "\n".join(lines)


def csv_text(table: TableModel) -> str:
    """Return CSV with one line per record, or one per row if the table has no records."""
    out = io.StringIO()
    records = table.records or tuple(_as_records(table))
    writer = csv.DictWriter(out, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _csv_value(v) for name, v in record.items()} for record in records)
    return out.getvalue()


def _csv_value(value: Value) -> Value:
    return (
        output.csv_cell(value) if isinstance(value, str) and not _NUMBER.fullmatch(value) else value
    )


def html(table: TableModel) -> str:
    """Return a page of its own, without scripts."""
    return template_environment().get_template("table.html.jinja").render(table=table)


TABLE_FORMATS: Mapping[str, Callable[[TableModel], str]] = {
    "html": html,
    "md": markdown,
    "csv": csv_text,
    "tex": latex,
}
"""The formats by file extension."""


def _as_records(table: TableModel) -> Iterable[dict[str, Value]]:
    part = ""
    for row in table.rows:
        if row.kind == "heading":
            part = row.cells[0].text
            continue
        texts = (cell.text for cell in row.cells)
        yield {**({"part": part} if part else {}), **dict(zip(table.columns, texts, strict=True))}


def _markdown_table_row(row: TableRow, table: TableModel) -> str:
    padding = [""] * (len(table.columns) - len(row.cells))
    return _markdown_row([*(_markdown_cell(row, cell) for cell in row.cells), *padding])


def _markdown_cell(row: TableRow, cell: TableCell) -> str:
    detail = f" ({output.markdown(cell.detail)})" if cell.detail else ""
    text = output.markdown(cell.text) + detail
    return f"**{text}**" if row.kind == "heading" else text


def _markdown_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _latex_head(columns: Iterable[str]) -> Iterator[str]:
    """Yield a row of names, and a row of the numbers of queries that are in parentheses."""
    parts = [re.fullmatch(r"(.*?)(?: (\([\d,]+\)))?", name) for name in columns]
    names = [part[1] if part else "" for part in parts]
    counts = [part[2] or "" if part else "" for part in parts]
    yield " & ".join(map(output.latex, names)) + r" \\"
    if any(counts):
        yield " & ".join(rf"\tiny {count}" if count else "" for count in counts) + r" \\"


def _latex_row(row: TableRow, columns: int) -> Iterator[str]:
    if row.kind == "heading":
        text = output.latex(row.cells[0].text)
        yield rf"\midrule \multicolumn{{{columns}}}{{l}}{{\emph{{{text}}}}} \\"
        return
    details = any(cell.detail for cell in row.cells)
    # \\* keeps the row below on the same page.
    end = r" \\*" if details else r" \\"
    yield " & ".join(output.latex(cell.text) for cell in row.cells) + end
    if details:
        yield " & ".join(map(_latex_detail, row.cells)) + r" \\"


def _latex_detail(cell: TableCell) -> str:
    """Return the detail in small type; an interval with an en dash, which is narrower than "to"."""
    detail = re.sub(r"(?<=\d) to (?=\d)", "\N{EN DASH}", cell.detail)
    return rf"\tiny {output.latex(detail)}" if detail else ""
