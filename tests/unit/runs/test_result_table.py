"""The result table, in 80 columns."""

import io
from dataclasses import replace

from rich.console import Console

from benchmark.boxes.baseline import Percentages
from benchmark.models.published import published
from benchmark.records import Outcome
from benchmark.runs.result_table import result_table
from benchmark.scoring.outcomes import SCORES
from benchmark.stats.summary import summarize

OUTCOMES = [
    Outcome(1, (0, 0, 1, 1, 2, 3, 8), (True, True, False, True, False, False, False)),
    Outcome(2, (0, 1, 1, 0, 4, 2, 1), (False, True, True, False, False, False, True)),
]
EXACT = [replace(outcome, correct=(True, *[False] * 6)) for outcome in OUTCOMES[:1]] + [
    replace(OUTCOMES[1], correct=(False,) * 7)
]
SUMMARIES = {"set": summarize(OUTCOMES), "exact": summarize(EXACT)}
CHANCE: Percentages = {
    "overall": 21.0,
    "nontrivial": 14.0,
    "by_numops": {"0": 41.1, "1": 17.9, "8": 25.0},
}
EXACT_CHANCE: Percentages = {"overall": 5.0, "nontrivial": 4.0, "by_numops": {"0": 9.0}}
CHANCES = {"exact": EXACT_CHANCE, "set": CHANCE, "mentions": CHANCE}


def _shown(table: object) -> list[str]:
    console = Console(file=io.StringIO(), width=80)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_result_table_has_a_row_per_numops_and_two_sums() -> None:
    """Every numops that occurs has a row, with baseline and published accuracy if they exist."""
    published_models = [published()["Llama 2 7B"], published()["CodeLlama 13B"]]
    lines = _shown(result_table("a model", SUMMARIES, CHANCES, published_models))
    rows = {line.split()[0]: line.split() for line in lines[5:] if line.strip("─ ")}
    assert max(map(len, lines)) <= 80
    none = "\N{EN DASH}"
    assert rows["0"] == ["0", "(2/4)", "50.0", none, "41.1", "25.0", "9.0", "65.5", "95.7"]
    assert rows["1"][1:3] == ["4/5", "80.0"]
    assert rows["1"][3] not in {none, "-"}
    assert "in parentheses: fewer than 5 queries, no interval" in lines
    assert rows["8"][-4:] == ["0.0", "-", "-", "-"]
    assert rows["all"][1:3] == ["6/14", "42.9"]
    assert rows["all"][-4:] == ["7.1", "5.0", "21.3", "54.8"]
    assert rows[">="][:4] == [">=", "1", "4/10", "40.0"]
    assert rows[">="][-4:] == ["0.0", "4.0", "5.8", "40.4"]


def test_result_table_names_the_comparable_score() -> None:
    """Every score has a column and a line below, and one line says it is comparable."""
    published_models = [published()["Llama 2 7B"], published()["CodeLlama 13B"]]
    lines = _shown(result_table("a model", SUMMARIES, CHANCES, published_models))
    heads = next(line.split() for line in lines if "numops" in line)
    assert [name for name in heads if name in SCORES] == list(SCORES)
    (line,) = (line for line in lines if "published" in line)
    assert line.startswith("exact: ")
    assert any(line.startswith("set: ") for line in lines)


def test_the_widest_result_table_fits() -> None:
    """Counts of the evaluated set and accuracies of 100 % fit into 80 columns."""
    many = [Outcome(n, (0, 1, 1, 2, 3, 4, 5), (True,) * 7) for n in range(1000)]
    published_models = [published()["Llama 2 7B"], published()["CodeLlama 13B"]]
    summaries = dict.fromkeys(SCORES, summarize(many))
    lines = _shown(result_table("a model", summaries, CHANCES, published_models))
    assert max(map(len, lines)) <= 80
    assert any("7000/7000" in line for line in lines)
    assert not any("\N{HORIZONTAL ELLIPSIS}" in line for line in lines)


def test_result_table_without_comparison() -> None:
    """Without baseline and published models there are only the measured columns."""
    lines = _shown(result_table("scores", SUMMARIES))
    assert not any("random" in line or "published" in line for line in lines)
