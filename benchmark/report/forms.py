"""Tables as files: Markdown, CSV, LaTeX and HTML."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping

from benchmark.report.grid import Cell, Grid, Row, Value
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


def markdown(grid: Grid) -> str:
    """A pipe table with title and caption."""
    align = [":--" if n < grid.words else "--:" for n in range(len(grid.columns))]
    lines = [f"### {_plain(grid.title)}", "", _line(map(_plain, grid.columns)), _line(align)]
    lines += [_line(_padded(row, len(grid.columns), _markdown_cell)) for row in grid.rows]
    return "\n".join([*lines, "", _plain(grid.caption), ""])


def latex(grid: Grid) -> str:
    """A ``table`` of booktabs; it needs ``booktabs`` and, for check marks, ``amssymb``."""
    columns = "l" * grid.words + "r" * (len(grid.columns) - grid.words)
    head = " & ".join(map(_tex, grid.columns))
    body = [_latex_row(row, len(grid.columns)) for row in grid.rows]
    lines = [
        r"% \usepackage{booktabs,amssymb}",
        r"\begin{table}",
        r"\centering\small",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        rf"{head} \\",
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        rf"\caption{{{_tex(grid.title)}. {_tex(grid.caption)}}}",
        rf"\label{{tab:{grid.id}}}",
        r"\end{table}",
        "",
    ]
    return "\n".join(lines)


def comma_separated(grid: Grid) -> str:
    """A row a figure where the table is of figures, else a row a row."""
    out = io.StringIO()
    records = grid.records or tuple(_as_records(grid))
    writer = csv.DictWriter(out, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return out.getvalue()


def html(grid: Grid) -> str:
    """A page of its own, without scripts."""
    return environment().get_template("table.html.jinja").render(grid=grid)


FORMS: Mapping[str, Callable[[Grid], str]] = {
    "html": html,
    "md": markdown,
    "csv": comma_separated,
    "tex": latex,
}
"""The forms by the ending of their files."""


def _as_records(grid: Grid) -> Iterable[dict[str, Value]]:
    part = ""
    for row in grid.rows:
        if row.kind == "heading":
            part = row.cells[0].text
            continue
        named = zip(grid.columns, (cell.text for cell in row.cells), strict=True)
        yield {**({"part": part} if part else {}), **dict(named)}


def _padded(row: Row, columns: int, form: Callable[[Row, Cell], str]) -> list[str]:
    return [*(form(row, cell) for cell in row.cells), *[""] * (columns - len(row.cells))]


def _markdown_cell(row: Row, cell: Cell) -> str:
    text = _plain(cell.text) + (f" ({_plain(cell.small)})" if cell.small else "")
    return f"**{text}**" if row.kind == "heading" else text


def _plain(text: str) -> str:
    """Text that Markdown takes for nothing else, in one line."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(text.split()))


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _latex_row(row: Row, columns: int) -> str:
    if row.kind == "heading":
        words = _tex(row.cells[0].text)
        return rf"\midrule \multicolumn{{{columns}}}{{l}}{{\emph{{{words}}}}} \\"
    return " & ".join(_latex_cell(cell) for cell in row.cells) + r" \\"


def _latex_cell(cell: Cell) -> str:
    return _tex(cell.text) + (rf" {{\tiny {_tex(cell.small)}}}" if cell.small else "")


def _tex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
