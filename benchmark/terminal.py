"""The look of tables and numbers in terminal output."""

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text


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
