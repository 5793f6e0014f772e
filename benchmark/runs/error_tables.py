"""Tables of what went wrong in one or several runs, at most 80 columns wide."""

from collections.abc import Iterator, Mapping, Sequence
from math import isinf
from typing import NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from benchmark.scoring.error_types import ERROR_TYPES
from benchmark.scoring.outcomes import MAIN
from benchmark.stats.constants import POWER
from benchmark.stats.error_contrast import TypeContrast
from benchmark.stats.error_summary import ErrorSummary, GroupEstimates
from benchmark.stats.logistic import LogisticFit, OddsEffect
from benchmark.stats.published import holm
from benchmark.stats.states_needed import few_states_warning
from benchmark.stats.summary import Estimate
from benchmark.terminal import FEW_QUERIES, number, p_value, plain_table, row_style

DASH = "\N{EN DASH}"

GROUP_TITLES: Mapping[str, str] = {
    "last_change": "Last change of the box",
    "last_operation": "Last operation of all",
    "objects": "Objects in the box",
}
"""The headings of the groups of queries."""

EFFECT_TITLES: Mapping[str, str] = {
    "first_change": "numops 0 -> 1",
    "further_changes": "numops + 1",
    "further_objects": "objects + 1",
    "empty": "empty box",
}
"""The predictors of the regression in words."""

REGRESSION_NOTE = (
    "logistic regression; below 1: a right answer is less likely; + 1: each further one",
    "with box size: given the number of objects in the box and whether it is empty",
    "intervals and p: errors clustered by sequence; p adjusted by Holm's method in each model",
)

_OF_CONTRASTS = ("diff.", "p", "sees")
"""The columns of the comparison of two runs."""

_MOST_WITH_INTERVALS = 3
"""More runs than these next to each other leave no room for intervals."""


class NamedErrors(NamedTuple):
    """What went wrong in a run, with the run's name."""

    name: str
    summary: ErrorSummary


def error_tables(
    runs: Sequence[NamedErrors], contrasts: Mapping[str, TypeContrast] | None = None
) -> RenderableType:
    """Return types of error, accuracies by group and regressions, of runs next to each other.

    ``contrasts`` are those of the second run from the first.
    """
    parts: list[RenderableType] = [_types_table(runs, contrasts or {}), Text(), _groups_table(runs)]
    if any(run.summary.alone for run in runs):
        parts += [Text(), _regression_table(runs)]
    return Group(*parts)


def group_title(group: str, value: str) -> str:
    """Return the name of a group of queries in a table."""
    return "empty" if (group, value) == ("objects", "0") else value


def ratio_text(effect: OddsEffect) -> str:
    """Return an odds ratio; 0 or an infinity sign under separation."""
    ratio = effect.odds_ratio
    if ratio is None:
        return DASH
    return "\N{INFINITY}" if isinf(ratio) else _short(ratio)


def _short(ratio: float) -> str:
    """Return an odds ratio in the digits that matter."""
    digits = next((n for least, n in _DIGITS if ratio >= least), 3)
    return f"{ratio:.{digits}f}" if ratio else "0"


_DIGITS = ((10, 0), (1, 1), (0.1, 2))
"""Decimals of an odds ratio, by its size; smaller ones have three."""


def interval_text(effect: OddsEffect) -> str:
    """Return the interval of an odds ratio; a dash if it has none."""
    interval = effect.interval
    return DASH if interval is None else DASH.join(map(_short, interval))


def regression_notes(fits: Sequence[LogisticFit]) -> list[str]:
    """Return a line per predictor without a finite odds ratio, and why."""
    notes = {
        f"{EFFECT_TITLES[name]}: {effect.note}"
        for fit in fits
        for name, effect in fit.effects.items()
        if effect.note and name in EFFECT_TITLES
    }
    return sorted(notes)


def _types_table(runs: Sequence[NamedErrors], contrasts: Mapping[str, TypeContrast]) -> Table:
    title = f"What went wrong, by {MAIN}"
    table = plain_table(f"{runs[0].name}: {title[0].lower()}{title[1:]}" if _one(runs) else title)
    table.add_column("error", no_wrap=True)
    for heading in _type_headings(runs, contrasts):
        table.add_column(heading, justify="right")
    for error in ERROR_TYPES:
        cells = _type_cells(error.name, runs)
        occurs = any(run.summary.count(error.name) for run in runs)
        change = _contrast_cells(contrasts.get(error.name)) if contrasts else ()
        table.add_row(error.title, *cells, *change, style="" if occurs else "dim")
    table.add_section()
    table.add_row("wrong", *_sum_cells(runs), *([""] * len(_OF_CONTRASTS) if contrasts else []))
    notes = ["each wrong query has the first type that applies; docs/errors.md defines them"]
    if contrasts:
        notes.append("diff.: queries more than in the first run; p by Holm over the types")
        notes.append(f"sees: smallest difference found (power {100 * POWER:.0f} %, one type alone)")
        notes.append(few_states_warning(*(one.test.states for one in contrasts.values())))
    if not _one(runs):
        notes.append("per cent of the wrong queries of each run; wrong: per cent of all queries")
    table.caption = "\n".join(filter(None, notes))
    return table


def _one(runs: Sequence[NamedErrors]) -> bool:
    return len(runs) == 1


def _type_headings(
    runs: Sequence[NamedErrors], contrasts: Mapping[str, TypeContrast]
) -> Iterator[str]:
    if _one(runs):
        yield from ("queries", "% of wrong", "numops 0", ">= 1")
    else:
        yield from (run.name for run in runs)
    if contrasts:
        yield from _OF_CONTRASTS


def _type_cells(name: str, runs: Sequence[NamedErrors]) -> Iterator[str]:
    for run in runs:
        count, nontrivial = run.summary.count(name), run.summary.count(name, 1)
        share = number(100 * count / run.summary.wrong if run.summary.wrong else None)
        yield from (
            (str(count), share, str(count - nontrivial), str(nontrivial))
            if _one(runs)
            else (share,)
        )


def _sum_cells(runs: Sequence[NamedErrors]) -> Iterator[str]:
    for run in runs:
        summary = run.summary
        nontrivial = sum(summary.count(name, 1) for name in summary.types)
        if _one(runs):
            yield from (str(summary.wrong), "", str(summary.wrong - nontrivial), str(nontrivial))
        else:
            yield number(100 * summary.wrong / summary.queries.total())


def _contrast_cells(contrast: TypeContrast | None) -> tuple[str, ...]:
    if contrast is None:
        return ("",) * len(_OF_CONTRASTS)
    growth = f"{contrast.growth:+d}" if contrast.growth else "0"
    detectable = DASH if contrast.detectable is None else str(contrast.detectable)
    return growth, p_value(contrast.adjusted), detectable


def _groups_table(runs: Sequence[NamedErrors]) -> Table:
    table = plain_table("Right answers, in per cent")
    table.add_column("", no_wrap=True)
    headings = ("queries", "right", "95 % interval", "numops 0", ">= 1")
    for heading in headings if _one(runs) else [run.name for run in runs]:
        table.add_column(heading, justify="right", style="bold" * (heading == "right"))
    for group, title in GROUP_TITLES.items():
        table.add_row(title, style="italic")
        values = dict.fromkeys(value for run in runs for value in run.summary.groups[group])
        for value in sorted(values) if group == "objects" else values:
            estimates = [run.summary.groups[group].get(value) for run in runs]
            cells = [cell for estimate in estimates for cell in _group_cells(estimate, runs)]
            most = max(estimate.overall.tally.total for estimate in estimates if estimate)
            table.add_row(f"  {group_title(group, value)}", *cells, style=row_style(most))
    table.add_section()
    cells = [cell for run in runs for cell in _whole_cells(run.summary.whole_states, runs)]
    table.add_row("whole states (all boxes)", *cells)
    for name, share in (("precision", "answered"), ("recall", "present")):
        cells = [cell for run in runs for cell in _object_cells(run.summary, share, runs)]
        table.add_row(f"objects: {name}", *cells)
    return table


def _group_cells(group: GroupEstimates | None, runs: Sequence[NamedErrors]) -> list[str]:
    if group is None:
        return [""] * (5 if _one(runs) else 1)
    if not _one(runs):
        return [_accuracy(group.overall)]
    unchanged, nontrivial = map(_accuracy, group[1:])
    return [*_whole_cells(group.overall, runs)[:3], unchanged, nontrivial]


def _whole_cells(estimate: Estimate, runs: Sequence[NamedErrors]) -> list[str]:
    accuracy = _accuracy(estimate)
    return (
        [str(estimate.tally.total), accuracy, _interval(estimate), "", ""]
        if _one(runs)
        else [accuracy]
    )


def _object_cells(summary: ErrorSummary, of: str, runs: Sequence[NamedErrors]) -> list[str]:
    total = summary.objects[of]
    share = number(100 * summary.objects["both"] / total if total else None)
    return [str(total), share, "", "", ""] if _one(runs) else [share]


def _accuracy(estimate: Estimate) -> str:
    return number(100 * estimate.tally.accuracy) if estimate.tally.total else ""


def _interval(estimate: Estimate) -> str:
    if estimate.tally.total < FEW_QUERIES:
        return DASH
    return DASH.join(number(100 * end) for end in estimate.interval)


def _regression_table(runs: Sequence[NamedErrors]) -> Table:
    """Return odds ratios: of one run alone and adjusted, of several the adjusted ones."""
    fits = _fits(runs)
    p_values = {heading: adjusted_p_values(fit) for heading, fit in fits.items()}
    table = plain_table("Odds ratio of a right answer, with its 95 % interval")
    table.add_column("", no_wrap=True)
    for heading in fits:
        table.add_column(heading, justify="right")
        if _one(runs):
            table.add_column("p", justify="right")
    for name, title in EFFECT_TITLES.items():
        cells = list[str]()
        for heading, fit in fits.items():
            effect = fit.effects.get(name) if fit else None
            cells.append(_effect_cell(effect, interval=len(runs) <= _MOST_WITH_INTERVALS))
            if _one(runs):
                p = p_values[heading].get(name)
                cells.append("" if p is None else p_value(p))
        table.add_row(title, *cells)
    notes = regression_notes([fit for fit in fits.values() if fit])
    table.caption = "\n".join([*REGRESSION_NOTE, *notes])
    return table


def adjusted_p_values(fit: LogisticFit | None) -> dict[str, float]:
    """Return the p-values of the predictors in a table, adjusted by Holm's method, by name."""
    effects = fit.effects if fit else {}
    known = {n: p for n in EFFECT_TITLES if n in effects and (p := effects[n].p) is not None}
    return dict(zip(known, holm(list(known.values())), strict=True))


def _fits(runs: Sequence[NamedErrors]) -> dict[str, LogisticFit | None]:
    if _one(runs):
        (run,) = runs
        return {"numops alone": run.summary.alone, "with box size": run.summary.adjusted}
    return {run.name: run.summary.adjusted for run in runs}


def _effect_cell(effect: OddsEffect | None, *, interval: bool) -> str:
    if effect is None:
        return ""
    if not interval or effect.interval is None:
        return ratio_text(effect)
    return f"{ratio_text(effect)} ({interval_text(effect)})"
