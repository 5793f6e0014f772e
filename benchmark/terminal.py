"""The look of tables and numbers in terminal output."""

import sys
from collections.abc import Iterable
from typing import IO

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from benchmark.output import printable
from benchmark.streams import GuardedStream

_USUAL_WIDTH = 80


class GuardedConsole(Console):
    """A console on which text is text: no markup, and control characters are shown escaped.

    It draws with control characters of its own.
    """

    def __init__(
        self, *, file: IO[str] | None = None, quiet: bool = False, **options: object
    ) -> None:
        """Write to a file; the options are rich's."""
        # A model may be named [bold] or :smile:.
        super().__init__(file=file, quiet=quiet, markup=False, emoji=False, **options)  # type: ignore[arg-type]
        if self.width < 1:  # COLUMNS=0, for which rich prints nothing
            self.width = _USUAL_WIDTH

    def _render_buffer(self, buffer: Iterable[Segment]) -> str:
        return super()._render_buffer(
            segment if segment.control else segment._replace(text=printable(segment.text))
            for segment in buffer
        )


def console(*, stderr: bool = False, quiet: bool = False) -> Console:
    """Return a console on standard output or standard error."""
    stream = sys.stderr if stderr else sys.stdout
    # What rich draws on a terminal, it draws with control characters.
    if isinstance(stream, GuardedStream) and stream.isatty():
        return GuardedConsole(file=stream.unguarded, quiet=quiet)
    return GuardedConsole(file=stream, quiet=quiet)


class TitledTable(Table):
    """A table whose title and notes are as wide as the console; rich wraps them at the table."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the title, the table and the notes below it."""
        title, self.title = self.title, None
        notes, self.caption = self.caption, None
        if title:
            yield Text(str(title), style="bold")
        yield from super().__rich_console__(console, options)
        if notes:
            yield Text(str(notes), style="dim italic")
        self.title, self.caption = title, notes


def plain_table(title: str | None) -> Table:
    """Return an empty table in the style of all tables."""
    return TitledTable(
        title=None if title is None else Text(title),  # a name may look like markup
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )


def shortened(name: str, width: int) -> str:
    """Return a name of at most ``width`` characters: the middle of a longer one is left out."""
    if len(name) <= width:
        return name
    start = (width - 1) // 2
    return f"{name[:start]}\N{HORIZONTAL ELLIPSIS}{name[start + 1 - width :]}"


FEW_QUERIES = 5
"""Rows of fewer queries are dim, with the count in parentheses: they say next to nothing."""


def row_style(queries: int) -> str:
    """Return the style of a table's row about this number of queries."""
    return "dim" if queries < FEW_QUERIES else ""


def count_text(text: str, queries: int) -> str:
    """Return a row's count; in parentheses for few queries, which shows in a pipe too."""
    return f"({text})" if queries < FEW_QUERIES else text


def few_note(numbers: Iterable[int], more: str = "") -> list[str]:
    """Return the note on rows of few queries, with ``more``; none if all have enough."""
    few = any(queries < FEW_QUERIES for queries in numbers)
    return [f"in parentheses: fewer than {FEW_QUERIES} queries{more}"] if few else []


def number(percent: float | None) -> str:
    """Return a percentage with one decimal, a dash for None."""
    return "-" if percent is None else f"{percent:.1f}"


def p_value(p: float) -> str:
    """Return a p-value with two significant digits, ``< 0.001`` if it is smaller."""
    return "< 0.001" if p < 0.001 else f"{p:.2g}"  # noqa: PLR2004  # the customary limit
