"""A table independent of its file format: cells that HTML, Markdown, LaTeX and CSV can show."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Value = str | int | float | None

RowKind = Literal["heading", "published", "measured", "difference", "secondary"]
"""The contents of a row; a heading has one cell that spans all columns."""


@dataclass(frozen=True, slots=True)
class TableCell:
    """A cell: its text, and a detail in smaller type (an interval or an error).

    ``share`` is a number in 0..1 by which a page can shade and sort the cell. One of ``few``
    queries is sorted, but not shaded.
    """

    text: str
    detail: str = ""
    share: float | None = None
    few: bool = False


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row with one cell per column; one that ``follows`` stays below the row above it."""

    cells: tuple[TableCell, ...]
    kind: RowKind = "published"
    follows: bool = False


@dataclass(frozen=True, slots=True)
class TableModel:
    """A table: ``id`` names its files, ``records`` are its figures in machine-readable form.

    ``columns`` are the headings. The first ``text_columns`` of them hold text, the others numbers.
    """

    id: str
    title: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]
    text_columns: int = 1
    records: tuple[Mapping[str, Value], ...] = ()


def heading_row(text: str) -> TableRow:
    """Return a row that is the heading of the rows below it."""
    return TableRow((TableCell(text),), "heading")
