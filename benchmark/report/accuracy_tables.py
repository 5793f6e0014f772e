"""Tables 3 and 6: published accuracies with intervals, and measured ones below them."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from benchmark.models.published import published_rows
from benchmark.report.captions import captions
from benchmark.report.data import Chance, ModelView, ReportData
from benchmark.report.figures import DRAWN_NUMOPS
from benchmark.report.table_model import TableCell, TableModel, TableRow, Value, heading_row
from benchmark.scoring.outcomes import PUBLISHED
from benchmark.stats.points import signed_points
from benchmark.stats.published import UnpairedTest, unpaired_test
from benchmark.stats.summary import Estimate, Summary

_NO_VALUE = TableCell("\N{EN DASH}")


class Column(NamedTuple):
    """A group of queries: its name, and its estimate in a summary."""

    name: str
    estimate: Callable[[Summary], Estimate | None]


def _numops(numops: int) -> Column:
    return Column(str(numops), lambda summary: summary.by_numops.get(numops))


_ALL = Column("all", lambda summary: summary.overall)
_NONTRIVIAL = Column(">= 1", lambda summary: summary.nontrivial)


def table_3(report: ReportData) -> TableModel:
    """Return Table 3: Llama 7B and FLoat on all queries, at numops 0, and above."""
    keys = captions().tables["table-3"].models
    models = [view for view in report.models if view.model.key in keys]
    columns = (_ALL, _numops(0), _NONTRIVIAL)
    headings = ("Aggregate", "NumOps = 0", "NumOps \N{GREATER-THAN OR EQUAL TO} 1")
    return _table("table-3", headings, columns, list(_rows(models, columns)), models)


def table_6(report: ReportData) -> TableModel:
    """Return Table 6: every model by numops, the random baseline, and numops >= 1."""
    columns = (_ALL, _NONTRIVIAL, *map(_numops, DRAWN_NUMOPS))
    paper_models = [view for view in report.models if view.model.paper]
    other_models = [view for view in report.models if not view.model.paper]
    first = paper_models[0].published
    headings = [_heading(column, first) for column in columns]
    rows = [_random_row(columns, first, report.chance), *_rows(paper_models, columns)]
    if other_models:
        title = heading_row("Measured here, not in the paper")
        rows += [title, *_rows(other_models, columns)]
    return _table("table-6", headings, columns, rows, [*paper_models, *other_models])


def _table(
    name: str,
    headings: Sequence[str],
    columns: Sequence[Column],
    rows: Sequence[TableRow],
    models: Sequence[ModelView],
) -> TableModel:
    texts = captions()
    measured = any(view.measured for view in models)
    caption = texts.published + (texts.measured if measured else "")
    records = tuple(record for view in models for record in _records(view, columns))
    title = texts.tables[name].title
    return TableModel(name, title, caption, ("Model", *headings), tuple(rows), records=records)


def _heading(column: Column, published: Summary | None) -> str:
    """Return the column's heading with the number of queries of the paper's test set."""
    name = {"all": "Overall", ">= 1": "\N{GREATER-THAN OR EQUAL TO} 1"}.get(
        column.name, column.name
    )
    estimate = column.estimate(published) if published else None
    return f"{name} ({estimate.tally.total:,})" if estimate else name


def _rows(models: Sequence[ModelView], columns: Sequence[Column]) -> Iterator[TableRow]:
    for view in models:
        name = view.model.name
        if view.published:
            published_name = name if view.model.paper else f"{name}, the authors' data"
            yield _row(published_name, view.published, columns)
        if view.measured:
            measured_name = f"{name}, measured" if view.published else name
            measured_name += f" as {view.alternative}" if view.alternative else ""
            yield TableRow(_row(measured_name, view.measured, columns).cells, "measured")
        if view.published and view.measured:
            both = (view.published, view.measured)
            cells = tuple(_difference(_test(column, *both)) for column in columns)
            yield TableRow((TableCell("difference"), *cells), "difference")


def _row(name: str, summary: Summary, columns: Sequence[Column]) -> TableRow:
    cells = (_cell(column.estimate(summary)) for column in columns)
    return TableRow((TableCell(name), *cells))


def _cell(estimate: Estimate | None) -> TableCell:
    if estimate is None or not estimate.tally.total:
        return _NO_VALUE
    accuracy, interval = estimate.tally.accuracy, estimate.shown_interval
    words = f"{100 * interval.low:.1f} to {100 * interval.high:.1f}" if interval else ""
    return TableCell(f"{100 * accuracy:.2f}", words, accuracy)


def _random_row(columns: Sequence[Column], published: Summary | None, chance: Chance) -> TableRow:
    """Return the paper's random row; averages over numops are weighted by number of queries."""
    totals = {n: e.tally.total for n, e in published.by_numops.items()} if published else {}
    groups = {"all": [*DRAWN_NUMOPS], ">= 1": [n for n in DRAWN_NUMOPS if n >= 1]}

    def cell(column: Column) -> TableCell:
        group = groups.get(column.name) or [int(column.name)]
        weight = sum(totals[n] for n in group)
        mean = sum(chance[n] * totals[n] for n in group) / weight
        return TableCell(f"{100 * mean:.2f}", "", mean)

    return TableRow((TableCell("Random"), *map(cell, columns)))


def _test(column: Column, published: Summary, measured: Summary) -> UnpairedTest | None:
    old, new = column.estimate(published), column.estimate(measured)
    if not (old and new and old.tally.total and new.tally.total):
        return None
    return unpaired_test(old.tally, new.tally)


def _difference(test: UnpairedTest | None) -> TableCell:
    if test is None:
        return _NO_VALUE
    error = f"\N{PLUS-MINUS SIGN} {100 * test.margin:.1f}" if test.error else ""
    return TableCell(signed_points(test.difference, 2), error)


def _records(view: ModelView, columns: Sequence[Column]) -> Iterator[dict[str, Value]]:
    """Yield one record per score and column: accuracies in per cent, differences in points."""
    row = published_rows().get(view.model.key)
    repositories = {
        "published": row.huggingface_id if row else view.repository,
        "measured": view.repository,
    }
    published = [("published", PUBLISHED, view.published)] if view.published else []
    measured = (("measured", score, summary) for score, summary in view.scores.items())
    for source, score, summary in (*published, *measured):
        for column in columns:
            estimate = column.estimate(summary)
            if estimate is None:
                continue
            test = None
            if source == "measured" and score == PUBLISHED and view.published:
                test = _test(column, view.published, summary)
            tally, (low, high) = estimate.tally, estimate.shown_interval or (None, None)
            yield {
                "model": view.model.name,
                "huggingface_id": repositories[source],
                "source": source,
                "score": score,
                "numops": column.name,
                "correct": tally.correct,
                "total": tally.total,
                "accuracy": round(100 * tally.accuracy, 4) if tally.total else None,
                "low": None if low is None else round(100 * low, 4),
                "high": None if high is None else round(100 * high, 4),
                "difference": round(100 * test.difference, 4) if test else None,
                "difference_error": round(100 * test.margin, 4) if test and test.error else None,
            }
