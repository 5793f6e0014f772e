"""What went wrong in the runs: bars of the types of error, and tables."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from benchmark.report.accuracy_tables import NO_VALUE, accuracy_cell, estimate_record
from benchmark.report.captions import captions
from benchmark.report.data import ReportData, RunErrors
from benchmark.report.table_model import TableCell, TableModel, TableRow, Value, heading_row
from benchmark.runs.error_tables import (
    EFFECT_TITLES,
    GROUP_TITLES,
    adjusted_p_values,
    group_title,
    interval_text,
    ratio_text,
    regression_notes,
)
from benchmark.scoring.error_types import ERROR_TYPES
from benchmark.stats.error_summary import ErrorSummary
from benchmark.stats.logistic import LogisticFit, OddsEffect

FAMILIES: Mapping[str, tuple[str, Sequence[str]]] = {
    "silent": ("no answer", ("no_answer",)),
    "past": ("initial contents", ("initial_contents",)),
    "step": (
        "one change missed, or earlier contents",
        (
            *("missed_put", "missed_remove", "missed_move_in", "missed_move_out"),
            "earlier_contents",
        ),
    ),
    "invented": ("objects of no box", ("never_mentioned", "from_examples")),
    "foreign": ("objects of another box", ("other_box",)),
    "partial": ("extra, missing or mixed", ("extra_objects", "missing_objects", "mixed")),
}
"""The colours of the bars: a class, its name in the legend, and the types that have it."""

_MODELS: Mapping[str, str] = {"alone": "numops alone", "adjusted": "with box size"}
"""The regressions, by their attribute of a summary."""


class Segment(NamedTuple):
    """A part of a bar, in per cent of its width; ``family`` is its colour."""

    family: str
    start: float
    width: float
    label: str


class ErrorBar(NamedTuple):
    """The queries of a run: right ones, then the types of error in order."""

    title: str
    right: float
    segments: tuple[Segment, ...]


def error_bars(report: ReportData) -> tuple[ErrorBar, ...]:
    """Return a bar per run with predictions."""
    return tuple(map(_bar, report.errors))


def error_tables(report: ReportData) -> tuple[TableModel, ...]:
    """Return the tables of types, of accuracies by group and of odds ratios; none without runs."""
    if not report.errors:
        return ()
    return _types(report.errors), _groups(report.errors), _regression(report.errors)


def _bar(errors: RunErrors) -> ErrorBar:
    summary = errors.summary
    total = summary.queries.total()
    families = {name: family for family, (_, names) in FAMILIES.items() for name in names}
    start = right = 100 * (total - summary.wrong) / total
    segments = []
    for error in ERROR_TYPES:
        if count := summary.count(error.name):
            width = 100 * count / total
            label = f"{error.title}: {count} of {summary.wrong} wrong queries"
            segments.append(Segment(families[error.name], start, width, label))
            start += width
    return ErrorBar(errors.view.title, right, tuple(segments))


def _table(
    name: str,
    first: str,
    runs: Sequence[RunErrors],
    rows: Sequence[TableRow],
    records: Iterator[dict[str, Value]],
    more: str = "",
) -> TableModel:
    texts = captions().tables[name]
    columns = (first, *(errors.view.title for errors in runs))
    caption = f"{texts.caption}{more}"
    return TableModel(name, texts.title, caption, columns, tuple(rows), records=tuple(records))


def _types(runs: Sequence[RunErrors]) -> TableModel:
    rows = [
        TableRow((TableCell(e.title), *(_type_cell(r.summary, e.name) for r in runs)), "measured")
        for e in ERROR_TYPES
    ]
    rows.append(TableRow((TableCell("wrong"), *(_wrong_cell(r.summary) for r in runs))))
    return _table("table-errors", "Type of error", runs, rows, _type_records(runs))


def _type_cell(summary: ErrorSummary, name: str) -> TableCell:
    count = summary.count(name)
    if not summary.wrong:
        return NO_VALUE
    share = count / summary.wrong
    return TableCell(f"{100 * share:.1f}", f"{count}", share)


def _wrong_cell(summary: ErrorSummary) -> TableCell:
    total = summary.queries.total()
    return TableCell(f"{100 * summary.wrong / total:.1f}", f"{summary.wrong} of {total}")


def _type_records(runs: Sequence[RunErrors]) -> Iterator[dict[str, Value]]:
    for errors in runs:
        for error in ERROR_TYPES:
            yield {
                "run": errors.view.title,
                "model": errors.view.run.model,
                "type": error.name,
                "queries": errors.summary.count(error.name),
                "numops_0": errors.summary.count(error.name) - errors.summary.count(error.name, 1),
                "nontrivial": errors.summary.count(error.name, 1),
                "wrong": errors.summary.wrong,
            }


def _groups(runs: Sequence[RunErrors]) -> TableModel:
    rows = list[TableRow]()
    for group, title in GROUP_TITLES.items():
        rows.append(heading_row(title))
        values = dict.fromkeys(value for run in runs for value in run.summary.groups[group])
        for value in sorted(values) if group == "objects" else values:
            groups = [run.summary.groups[group].get(value) for run in runs]
            cells = (accuracy_cell(one.overall if one else None) for one in groups)
            rows.append(TableRow((TableCell(group_title(group, value)), *cells), "measured"))
    rows.append(heading_row("All seven boxes"))
    cells = (accuracy_cell(run.summary.whole_states) for run in runs)
    rows.append(TableRow((TableCell("whole states"), *cells), "measured"))
    return _table("table-groups", "Queries", runs, rows, _group_records(runs))


def _group_records(runs: Sequence[RunErrors]) -> Iterator[dict[str, Value]]:
    for errors in runs:
        common: dict[str, Value] = {"run": errors.view.title, "model": errors.view.run.model}
        for group, values in errors.summary.groups.items():
            for value, estimates in values.items():
                for numops, estimate in zip(("all", "0", ">= 1"), estimates, strict=True):
                    place = {"group": group, "value": value, "numops": numops}
                    yield {**common, **place, **estimate_record(estimate)}
        place = {"group": "whole_states", "value": "", "numops": "all"}
        yield {**common, **place, **estimate_record(errors.summary.whole_states)}


def _regression(runs: Sequence[RunErrors]) -> TableModel:
    rows, fits = list[TableRow](), list[LogisticFit]()
    for model, title in _MODELS.items():
        rows.append(heading_row(title[:1].upper() + title[1:]))
        by_run: list[LogisticFit | None] = [getattr(run.summary, model) for run in runs]
        fits += filter(None, by_run)
        for name, words in EFFECT_TITLES.items():
            effects = [fit.effects.get(name) if fit else None for fit in by_run]
            if any(effects):
                rows.append(TableRow((TableCell(words), *map(_effect_cell, effects)), "measured"))
    more = "".join(f" {note}." for note in regression_notes(fits))
    return _table("table-odds", "Predictor", runs, rows, _effect_records(runs), more)


def _effect_cell(effect: OddsEffect | None) -> TableCell:
    if effect is None:
        return NO_VALUE
    return TableCell(ratio_text(effect), interval_text(effect) if effect.interval else "")


def _effect_records(runs: Sequence[RunErrors]) -> Iterator[dict[str, Value]]:
    for errors in runs:
        for model, title in _MODELS.items():
            fit: LogisticFit | None = getattr(errors.summary, model)
            adjusted = adjusted_p_values(fit)
            for name, effect in fit.effects.items() if fit else ():
                interval = effect.interval
                yield {
                    "run": errors.view.title,
                    "model": errors.view.run.model,
                    "regression": title,
                    "predictor": name,
                    "odds_ratio": None if effect.note else effect.odds_ratio,
                    "low": interval.low if interval else None,
                    "high": interval.high if interval else None,
                    "p": effect.p,
                    "p_holm": adjusted.get(name),
                    "note": effect.note,
                }
