"""The table of the random baseline, in 80 columns."""

import io

from rich.console import Console

from benchmark.boxes.baseline import Percentages, readings
from benchmark.runs.result_table import baseline_table


def _percentages(add: float) -> Percentages:
    numops: dict[str, float | None] = {"0": 40 + add, "1": 17 + add, "8": None}
    return {"overall": 21 + add, "nontrivial": 14 + add, "by_numops": numops}


def test_table_has_a_column_and_an_explanation_per_reading() -> None:
    """Rows are numops and two sums, columns are readings, and a line explains each reading."""
    baselines = {name: _percentages(n / 10) for n, name in enumerate(readings())}
    console = Console(file=io.StringIO(), width=80)
    console.print(baseline_table(baselines))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    rows = [line.split() for line in lines if line.strip(" \N{BOX DRAWINGS LIGHT HORIZONTAL}")]
    assert rows[:6] == [
        ["numops", "exact", "set", "mentions"],
        ["0", "40.0", "40.1", "40.2"],
        ["1", "17.0", "17.1", "17.2"],
        ["8", "-", "-", "-"],
        [">=", "1", "14.0", "14.1", "14.2"],
        ["all", "21.0", "21.1", "21.2"],
    ]
    for name, reading in readings().items():
        assert f"{name}: {reading.wording}" in lines
