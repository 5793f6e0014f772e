"""The lines that ``report`` prints about its runs."""

from dataclasses import replace

from rich.console import Console

from benchmark.records import Tally
from benchmark.report.data import ReportData, RunView
from benchmark.report.terminal_text import report_text


def test_random_is_on_the_queries_of_the_row(report: ReportData) -> None:
    """The random baseline covers all numops above 0, as the accuracy: 8 and more too."""
    view = _with_counts(report.runs[0], {0: 5, 1: 3, 8: 1})
    result = replace(view.run.result, chance={0: 0.9, 1: 0.2, 8: 0.6})
    view = replace(view, run=replace(view.run, result=result))
    (row,) = (
        line for line in _printed(replace(report, runs=(view,), comparisons=())) if "Llama" in line
    )
    assert row.split()[-1] == "30.0"  # three of four queries at 20 %, one at 60 %


def test_differences_name_the_run_and_the_score(report: ReportData) -> None:
    """The lines below the table say whose points are counted, and by which score."""
    lines = [" ".join(line.split()) for line in _printed(report)]
    assert "diff.: points more than Llama 2 7B on the same states" in lines
    assert "by set: the same objects; the page has exact too" in lines
    assert any(
        line.startswith("could have seen (points, power 80 %): CodeLlama 7B: ") for line in lines
    )
    assert any(line.startswith("warning: ") and "measure 64 or more" in line for line in lines)
    first, second = report.comparisons
    other = replace(first, base=second.variant)
    text = "\n".join(_printed(replace(report, comparisons=(other, second))))
    assert "diff. of CodeLlama 7B: points more than" in text


def test_a_run_of_few_queries_is_marked_without_colour(report: ReportData) -> None:
    """Its count is in parentheses, and a line says why."""
    view = report.runs[0]
    estimate = replace(view.summary.nontrivial, tally=Tally(1, 4))
    summary = replace(view.summary, nontrivial=estimate)
    view = replace(view, summaries={**view.summaries, "set": summary})
    lines = _printed(replace(report, runs=(view,), comparisons=()))
    assert any("(4)" in line for line in lines)
    assert any("in parentheses: fewer than 5 queries" in line for line in lines)


def _with_counts(view: RunView, totals: dict[int, int]) -> RunView:
    by_numops = {numops: Tally(0, total) for numops, total in totals.items()}
    return replace(
        view, run=replace(view.run, result=replace(view.run.result, by_numops=by_numops))
    )


def _printed(report: ReportData) -> list[str]:
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        console.print(report_text(report))
    return capture.get().splitlines()
