"""Tables as files: Markdown, CSV, LaTeX and HTML."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from benchmark.report.table_model import TableCell, TableModel, TableRow, Value
from benchmark.report.templates import environment

_LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "\N{CHECK MARK}": r"\checkmark{}",
    "\N{BALLOT X}": r"$\times$",
    "\N{EN DASH}": "--",
    "\N{PLUS-MINUS SIGN}": r"$\pm$",
    "\N{GREATER-THAN OR EQUAL TO}": r"$\geq$",
}


def markdown(grid: TableModel) -> str:
    """A pipe table with title and caption."""
    align = [":--" if n < grid.words else "--:" for n in range(len(grid.columns))]
    lines = [f"### {_plain(grid.title)}", "", _line(map(_plain, grid.columns)), _line(align)]
    lines += [_line(_padded(row, len(grid.columns), _markdown_cell)) for row in grid.rows]
    return "\n".join([*lines, "", _plain(grid.caption), ""])


def latex(grid: TableModel) -> str:
    """A ``longtable`` of booktabs, which breaks over pages; its first lines name the packages.

    What stands smaller beside a figure comes in a row below it, so that eleven columns fit a
    page's width. LaTeX numbers the caption itself.
    """
    columns = "l" * grid.words + "r" * (len(grid.columns) - grid.words)
    head = list(_latex_head(grid.columns))
    title = re.sub(r"^Table \d+: ", "", grid.title)
    lines = [
        r"% \usepackage{booktabs,longtable}",
        r"% \usepackage{amssymb} % for check marks",
        "% in one column; Table 6 wants 455pt of width, a page with margins of an inch",
        r"\begingroup\scriptsize\setlength{\tabcolsep}{1.5pt}",
        rf"\begin{{longtable}}{{@{{}}{columns}@{{}}}}",
        rf"\caption{{{_tex(title[:1].upper() + title[1:])}. {_tex(grid.caption)}}}",
        rf"\label{{tab:{grid.id}}} \\",
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
        *(line for row in grid.rows for line in _latex_row(row, len(grid.columns))),
        r"\end{longtable}",
        r"\endgroup",
        "",
    ]
    return "\n".join(lines)


def comma_separated(grid: TableModel) -> str:
    """A row a figure where the table is of figures, else a row a row."""
    out = io.StringIO()
    records = grid.records or tuple(_as_records(grid))
    writer = csv.DictWriter(out, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return out.getvalue()


def html(grid: TableModel) -> str:
    """A page of its own, without scripts."""
    return environment().get_template("table.html.jinja").render(grid=grid)


FORMS: Mapping[str, Callable[[TableModel], str]] = {
    "html": html,
    "md": markdown,
    "csv": comma_separated,
    "tex": latex,
}
"""The forms by the ending of their files."""


def _as_records(grid: TableModel) -> Iterable[dict[str, Value]]:
    part = ""
    for row in grid.rows:
        if row.kind == "heading":
            part = row.cells[0].text
            continue
        named = zip(grid.columns, (cell.text for cell in row.cells), strict=True)
        yield {**({"part": part} if part else {}), **dict(named)}


def _padded(row: TableRow, columns: int, form: Callable[[TableRow, TableCell], str]) -> list[str]:
    return [*(form(row, cell) for cell in row.cells), *[""] * (columns - len(row.cells))]


def _markdown_cell(row: TableRow, cell: TableCell) -> str:
    text = _plain(cell.text) + (f" ({_plain(cell.small)})" if cell.small else "")
    return f"**{text}**" if row.kind == "heading" else text


def _plain(text: str) -> str:
    """Text that Markdown takes for nothing else, in one line."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(text.split()))


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _latex_head(columns: Iterable[str]) -> Iterator[str]:
    """Names, and below them how many queries they are of, where they say so in parentheses."""
    parts = [re.fullmatch(r"(.*?)(?: (\([\d,]+\)))?", name) for name in columns]
    names = [part[1] if part else "" for part in parts]
    counts = [part[2] or "" if part else "" for part in parts]
    yield " & ".join(map(_tex, names)) + r" \\"
    if any(counts):
        yield " & ".join(rf"\tiny {count}" if count else "" for count in counts) + r" \\"


def _latex_row(row: TableRow, columns: int) -> Iterator[str]:
    if row.kind == "heading":
        words = _tex(row.cells[0].text)
        yield rf"\midrule \multicolumn{{{columns}}}{{l}}{{\emph{{{words}}}}} \\"
        return
    small = any(cell.small for cell in row.cells)
    # A starred end keeps the row below on the same page.
    yield " & ".join(_tex(cell.text) for cell in row.cells) + (r" \\*" if small else r" \\")
    if small:
        yield " & ".join(map(_latex_small, row.cells)) + r" \\"


def _latex_small(cell: TableCell) -> str:
    """An interval with an en dash for its "to", which is narrower; nothing where there is none."""
    small = re.sub(r"(?<=\d) to (?=\d)", "\N{EN DASH}", cell.small)
    return rf"\tiny {_tex(small)}" if small else ""


def _tex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
