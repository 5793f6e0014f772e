"""What tables and figures in words have in common, wherever they are shown."""

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text


def plain_table(title: str | None) -> Table:
    """An empty table in the look of all tables here."""
    return Table(
        title=None if title is None else Text(title),  # a name may hold what looks like markup
        title_justify="left",
        title_style="bold",
        caption_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )


def number(percent: float | None) -> str:
    """A figure in per cent to one decimal, a dash where there is none."""
    return "-" if percent is None else f"{percent:.1f}"


def p_value(p: float) -> str:
    """A p-value to two significant digits, ``< 0.001`` below that."""
    return "< 0.001" if p < 0.001 else f"{p:.2g}"  # noqa: PLR2004  # the customary limit
