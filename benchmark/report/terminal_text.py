"""What ``report`` prints: one line per run, the comparisons with ``--details``, and the notes."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from benchmark.hypotheses.results import NONTRIVIAL
from benchmark.output import escape_invisible
from benchmark.report.data import ReportData, RunComparison, RunView
from benchmark.runs.paired_table import (
    comparison_table,
    detectable_note,
    interval_in_points,
    no_interval_notes,
)
from benchmark.scoring.outcomes import MAIN, PUBLISHED, SCORES
from benchmark.stats.paired import AdjustedPValues, PairedTest
from benchmark.stats.points import signed_points
from benchmark.stats.states_needed import few_states_warning
from benchmark.terminal import (
    count_text,
    few_note,
    number,
    p_value,
    plain_table,
    row_style,
    shortened,
)

_HEADINGS = ("queries", MAIN, "random")
_OF_COMPARISONS = ("diff.", "95 % interval", "p")
_WIDE, _NARROW = 48, 20
"""Longest names of runs in 80 columns, without and with the columns of comparisons."""


def report_text(report: ReportData, *, details: bool = False) -> RenderableType:
    """Return the lines about a report's runs; with ``details`` also each comparison by numops."""
    parts: list[RenderableType] = [_runs_table(report)] if report.runs else []
    if details:
        parts += [
            _comparison(comparison, p, len(report.comparisons))
            for comparison, p in zip(report.comparisons, report.p_values, strict=True)
        ]
    notes = [Text(escape_invisible(f"note: {note}")) for note in report.notes]
    return Group(*parts, *notes)


def _runs_table(report: ReportData) -> Table:
    """Return a row per run: its accuracy, and its difference from the first run if comparable."""
    table = plain_table(f"Accuracy by {MAIN} at numops >= 1, in per cent")
    table.add_column("run", no_wrap=True)
    compared = {
        id(comparison.variant): (comparison, p.nontrivial)
        for comparison, p in zip(report.comparisons, report.p_values, strict=True)
    }
    for heading in (*_HEADINGS, *(_OF_COMPARISONS if compared else ())):
        table.add_column(heading, justify="right", no_wrap=True, style="bold" * (heading == MAIN))
    width = _NARROW if compared else _WIDE
    for view in report.runs:
        name = Text(shortened(escape_invisible(view.title), width))  # may look like markup
        style = row_style(view.summary.nontrivial.tally.total)
        table.add_row(name, *_accuracy(view), *_difference(compared.get(id(view))), style=style)
    table.caption = "\n".join(_notes(report))
    return table


def _notes(report: ReportData) -> Iterator[str]:
    yield f"by {MAIN}: {SCORES[MAIN].words}; the page has {PUBLISHED} too"
    yield from few_note(view.summary.nontrivial.tally.total for view in report.runs)
    if not report.comparisons:
        return
    yield from _bases(report.comparisons)
    if len(report.comparisons) > 1:
        yield f"p: adjusted for {len(report.comparisons)} comparisons (Holm)"
    tests = {
        _short(comparison.variant): _nontrivial(comparison) for comparison in report.comparisons
    }
    yield detectable_note(tests)
    if warning := few_states_warning(*(test.states for test in tests.values())):
        yield warning
    yield "--details: the differences by numops"
    yield from no_interval_notes(map(_nontrivial, report.comparisons))


def _bases(comparisons: Sequence[RunComparison]) -> Iterator[str]:
    """Yield which run the differences are from; line by line if the bases differ."""
    bases = {id(comparison.base): _short(comparison.base) for comparison in comparisons}
    if len(bases) == 1:
        yield f"diff.: points more than {next(iter(bases.values()))} on the same states"
        return
    for comparison in comparisons:
        yield f"diff. of {_short(comparison.variant)}: points more than {_short(comparison.base)}"


def _short(view: RunView) -> str:
    return shortened(escape_invisible(view.title), _NARROW)


def _accuracy(view: RunView) -> Iterator[str]:
    tally, chance = view.summary.nontrivial.tally, view.chance_on(MAIN, NONTRIVIAL)
    yield count_text(str(tally.total), tally.total)
    yield number(100 * tally.accuracy if tally.total else None)
    yield number(None if chance is None else 100 * chance)


def _difference(compared: tuple[RunComparison, float] | None) -> Iterator[str]:
    if compared is not None:
        comparison, p = compared
        test = _nontrivial(comparison)
        yield signed_points(test.difference)
        yield interval_in_points(test)
        yield p_value(p)


def _nontrivial(comparison: RunComparison) -> PairedTest:
    return comparison.tests[MAIN].nontrivial


def _comparison(comparison: RunComparison, p: AdjustedPValues, comparisons: int) -> Table:
    base, variant = comparison.base, comparison.variant
    title = escape_invisible(f"{base.title} (first) -> {variant.title} (second)")
    summaries = (base.summary, variant.summary)
    names = ("first", "second")
    return comparison_table(title, names, summaries, comparison.tests, p, comparisons)
