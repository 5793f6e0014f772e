"""The table of the random baseline, one column per reading, at most 80 columns wide."""

from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.text import Text

from benchmark.boxes.baseline import Percentages, readings
from benchmark.terminal import number, plain_table


def baseline_table(baselines: Mapping[str, Percentages]) -> RenderableType:
    """Return the expected accuracy by numops and reading, with a line about each reading."""
    table = plain_table(None)  # too narrow for a title of its own
    table.add_column("numops", justify="right")
    for name in baselines:
        table.add_column(name, justify="right")
    columns = list(baselines.values())
    for numops in columns[0]["by_numops"]:
        table.add_row(numops, *(number(column["by_numops"][numops]) for column in columns))
    table.add_section()
    table.add_row(">= 1", *(number(column["nontrivial"]) for column in columns))
    table.add_row("all", *(number(column["overall"]) for column in columns))
    words = "\n".join(f"{name}: {readings()[name].wording}" for name in baselines)
    return Group(table, Text(words, style="dim"))
