"""A table before it has a form: cells that a page, Markdown, LaTeX and CSV all can show."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Value = str | int | float | None

RowKind = Literal["heading", "published", "measured", "difference"]
"""What a row holds; a heading has one cell, over all columns."""


@dataclass(frozen=True, slots=True)
class TableCell:
    """A cell: its text, and what stands smaller beside it (an interval, an error).

    ``share`` is a figure in 0..1 that a page may shade it by, and sort by.
    """

    text: str
    small: str = ""
    share: float | None = None


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row of cells, one a column."""

    cells: tuple[TableCell, ...]
    kind: RowKind = "published"


@dataclass(frozen=True, slots=True)
class TableModel:
    """A table: ``id`` names its files, ``records`` are its figures for a program.

    ``columns`` are the headings; the first ``words`` of them are of text, the others of figures.
    """

    id: str
    title: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]
    words: int = 1
    records: tuple[Mapping[str, Value], ...] = ()


def heading(text: str) -> TableRow:
    """A row that names what comes below it."""
    return TableRow((TableCell(text),), "heading")
