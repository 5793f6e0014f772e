"""The tables as they are seen, 80 columns wide."""

import io

from rich.console import Console

from benchmark.boxes.baseline import Percentages
from benchmark.models.published import published
from benchmark.records import Outcome
from benchmark.report.table import result_table
from benchmark.stats.summary import summarize

OUTCOMES = [
    Outcome(1, (0, 0, 1, 1, 2, 3, 8), (True, True, False, True, False, False, False)),
    Outcome(2, (0, 1, 1, 0, 4, 2, 1), (False, True, True, False, False, False, True)),
]
CHANCE: Percentages = {
    "overall": 21.0,
    "nontrivial": 14.0,
    "by_numops": {"0": 41.1, "1": 17.9, "8": 25.0},
}


def _shown(table: object) -> list[str]:
    console = Console(file=io.StringIO(), width=80)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_result_table_has_a_row_a_numops_and_two_sums() -> None:
    """Every numops that occurs has a row, with baseline and published accuracy where they exist."""
    beside = [published()["Llama 2 7B"], published()["CodeLlama 13B"]]
    lines = _shown(result_table("a model", summarize(OUTCOMES), CHANCE, beside))
    rows = {line.split()[0]: line.split() for line in lines[4:] if line.strip("─ ")}
    assert max(map(len, lines)) <= 80
    assert rows["0"] == ["0", "2/4", "50.0", "0.2", "to", "99.8", "41.1", "65.5", "95.7"]
    assert rows["1"][1:3] == ["4/5", "80.0"]
    assert rows["8"][-3:] == ["25.0", "-", "-"]
    assert rows["all"][1:3] == ["6/14", "42.9"]
    assert rows["all"][-2:] == ["21.3", "54.8"]
    assert rows[">="][:4] == [">=", "1", "4/10", "40.0"]
    assert rows[">="][-2:] == ["5.8", "40.4"]


def test_result_table_without_comparison() -> None:
    """Without baseline and published models only the measured columns stand."""
    lines = _shown(result_table("scores", summarize(OUTCOMES)))
    assert not any("random" in line for line in lines)
