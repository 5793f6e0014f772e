"""Tables 3 and 6: published accuracies with intervals, and measured ones below them."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from benchmark.hypotheses.results import ALL, NONTRIVIAL, Queries, numops_equal
from benchmark.models.published import published_rows
from benchmark.report.captions import captions
from benchmark.report.charts import FEW_QUERIES
from benchmark.report.data import Chance, ModelView, ReportData
from benchmark.report.figures import DRAWN_NUMOPS
from benchmark.report.table_model import TableCell, TableModel, TableRow, Value, heading_row
from benchmark.scoring.outcomes import PUBLISHED
from benchmark.stats.points import signed_points
from benchmark.stats.published import UnpairedTest, unpaired_test
from benchmark.stats.summary import Estimate, Summary

NO_VALUE = TableCell("\N{EN DASH}")


class Column(NamedTuple):
    """A group of queries: its name, their numops, and their estimate in a summary."""

    name: str
    queries: Queries
    estimate: Callable[[Summary], Estimate | None]

    @property
    def heading(self) -> str:
        """The name as the heading of a column."""
        headings = {"all": "Overall", ">= 1": "\N{GREATER-THAN OR EQUAL TO} 1"}
        return headings.get(self.name, self.name)


def numops_column(numops: int) -> Column:
    """Return the group of queries with that numops."""
    return Column(str(numops), numops_equal(numops), lambda summary: summary.by_numops.get(numops))


ALL_COLUMN = Column("all", ALL, lambda summary: summary.overall)
NONTRIVIAL_COLUMN = Column(">= 1", NONTRIVIAL, lambda summary: summary.nontrivial)


def table_3(report: ReportData) -> TableModel:
    """Return Table 3: Llama 7B and FLoat on all queries, at numops 0, and above."""
    keys = captions().tables["table-3"].models
    models = [view for view in report.models if view.model.key in keys]
    columns = (ALL_COLUMN, numops_column(0), NONTRIVIAL_COLUMN)
    headings = ("Aggregate", "NumOps = 0", "NumOps \N{GREATER-THAN OR EQUAL TO} 1")
    return _table("table-3", headings, columns, list(_rows(models, columns)), models)


def table_6(report: ReportData) -> TableModel:
    """Return Table 6: every model by numops, the random baseline, and numops >= 1."""
    columns = (ALL_COLUMN, NONTRIVIAL_COLUMN, *map(numops_column, DRAWN_NUMOPS))
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
    estimate = column.estimate(published) if published else None
    return f"{column.heading} ({estimate.tally.total:,})" if estimate else column.heading


def _rows(models: Sequence[ModelView], columns: Sequence[Column]) -> Iterator[TableRow]:
    for view in models:
        name = view.model.name
        if view.published:
            published_name = name if view.model.paper else f"{name}, the authors' data"
            yield _row(published_name, view.published, columns)
        if view.measured:
            measured_name = f"{name}, measured" if view.published else name
            measured_name += f" as {view.alternative}" if view.alternative else ""
            cells = _row(measured_name, view.measured, columns).cells
            yield TableRow(cells, "measured", follows=bool(view.published))
        if view.published and view.measured:
            both = (view.published, view.measured)
            cells = tuple(_difference(_test(column, *both)) for column in columns)
            yield TableRow((TableCell("difference"), *cells), "difference", follows=True)


def _row(name: str, summary: Summary, columns: Sequence[Column]) -> TableRow:
    cells = (accuracy_cell(column.estimate(summary)) for column in columns)
    return TableRow((TableCell(name), *cells))


def accuracy_cell(estimate: Estimate | None) -> TableCell:
    """Return accuracy and interval in per cent; a dash without queries."""
    if estimate is None or not estimate.tally.total:
        return NO_VALUE
    accuracy, interval = estimate.tally.accuracy, estimate.shown_interval
    words = f"{100 * interval.low:.1f} to {100 * interval.high:.1f}" if interval else ""
    few = estimate.tally.total < FEW_QUERIES
    return TableCell(f"{100 * accuracy:.2f}", words, accuracy, few)


def _random_row(columns: Sequence[Column], published: Summary | None, chance: Chance) -> TableRow:
    """Return the paper's random row; averages over numops are weighted by number of queries."""
    totals = {n: e.tally.total for n, e in published.by_numops.items()} if published else {}

    def cell(column: Column) -> TableCell:
        group = [n for n in DRAWN_NUMOPS if n in column.queries]
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
        return NO_VALUE
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
            yield {
                "model": view.model.name,
                "huggingface_id": repositories[source],
                "source": source,
                "score": score,
                "numops": column.name,
                **estimate_record(estimate),
                "difference": round(100 * test.difference, 4) if test else None,
                "difference_error": round(100 * test.margin, 4) if test and test.error else None,
            }


def estimate_record(estimate: Estimate) -> dict[str, Value]:
    """Return counts, and accuracy and interval in per cent."""
    tally, (low, high) = estimate.tally, estimate.shown_interval or (None, None)
    return {
        "correct": tally.correct,
        "total": tally.total,
        "accuracy": round(100 * tally.accuracy, 4) if tally.total else None,
        "low": None if low is None else round(100 * low, 4),
        "high": None if high is None else round(100 * high, 4),
    }
