"""The look of tables and numbers in terminal output."""

import sys
from collections.abc import Iterable
from typing import IO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from benchmark.output import printable
from benchmark.streams import GuardedStream


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


def plain_table(title: str | None) -> Table:
    """Return an empty table in the style of all tables."""
    return Table(
        title=None if title is None else Text(title),  # a name may look like markup
        title_justify="left",
        title_style="bold",
        caption_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )


def number(percent: float | None) -> str:
    """Return a percentage with one decimal, a dash for None."""
    return "-" if percent is None else f"{percent:.1f}"


def p_value(p: float) -> str:
    """Return a p-value with two significant digits, ``< 0.001`` if it is smaller."""
    return "< 0.001" if p < 0.001 else f"{p:.2g}"  # noqa: PLR2004  # the customary limit
