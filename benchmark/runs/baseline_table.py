"""The random baseline's table: its readings side by side, at most 80 columns wide."""

from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.text import Text

from benchmark.boxes.baseline import Percentages, readings
from benchmark.terminal import number, plain_table


def baseline_table(found: Mapping[str, Percentages]) -> RenderableType:
    """Return the expected accuracy by numops, a column per reading, and what each reading is."""
    table = plain_table(None)  # too narrow for a title of its own
    table.add_column("numops", justify="right")
    for name in found:
        table.add_column(name, justify="right")
    every = list(found.values())
    for numops in every[0]["by_numops"]:
        table.add_row(numops, *(number(each["by_numops"][numops]) for each in every))
    table.add_section()
    table.add_row(">= 1", *(number(each["nontrivial"]) for each in every))
    table.add_row("all", *(number(each["overall"]) for each in every))
    words = "\n".join(f"{name}: {readings()[name].wording}" for name in found)
    return Group(table, Text(words, style="dim"))
