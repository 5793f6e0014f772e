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
