"""Tables 3 and 6: accuracies with intervals, measured ones beside the published."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from benchmark.models.published import published_rows
from benchmark.report.captions import captions
from benchmark.report.data import Chance, ModelView, ReportData
from benchmark.report.figures import NUMOPS
from benchmark.report.table_model import TableCell, TableModel, TableRow, Value, heading
from benchmark.scoring.outcomes import PUBLISHED
from benchmark.stats.published import UnpairedTest, unpaired_test
from benchmark.stats.summary import Estimate, Summary

_MISSING = TableCell("\N{EN DASH}")


class Column(NamedTuple):
    """Some queries: what they are called, and their figure in a summary."""

    name: str
    of: Callable[[Summary], Estimate | None]


def _numops(numops: int) -> Column:
    return Column(str(numops), lambda summary: summary.by_numops.get(numops))


_ALL = Column("all", lambda summary: summary.overall)
_NONTRIVIAL = Column(">= 1", lambda summary: summary.nontrivial)


def table_3(material: ReportData) -> TableModel:
    """Llama 7B against FLoat: all queries, those of untouched boxes, and the others."""
    wanted = captions().tables["table-3"].models
    models = [view for view in material.models if view.model.key in wanted]
    columns = (_ALL, _numops(0), _NONTRIVIAL)
    names = ("Aggregate", "NumOps = 0", "NumOps \N{GREATER-THAN OR EQUAL TO} 1")
    return _grid("table-3", names, columns, list(_rows(models, columns)), models)


def table_6(material: ReportData) -> TableModel:
    """Every model by numops, with random, and with the main measure, numops >= 1."""
    columns = (_ALL, _NONTRIVIAL, *map(_numops, NUMOPS))
    papers = [view for view in material.models if view.model.paper]
    others = [view for view in material.models if not view.model.paper]
    first = papers[0].published
    names = [_headed(column, first) for column in columns]
    rows = [_random(columns, first, material.chance), *_rows(papers, columns)]
    if others:
        rows += [heading("Measured here, not in the paper"), *_rows(others, columns)]
    return _grid("table-6", names, columns, rows, [*papers, *others])


def _grid(
    name: str,
    names: Sequence[str],
    columns: Sequence[Column],
    rows: Sequence[TableRow],
    models: Sequence[ModelView],
) -> TableModel:
    words = captions()
    measured = any(view.measured for view in models)
    caption = words.published + (words.measured if measured else "")
    records = [record for view in models for record in _records(view, columns)]
    title = words.tables[name].title
    return TableModel(name, title, caption, ("Model", *names), tuple(rows), records=tuple(records))


def _headed(column: Column, counts: Summary | None) -> str:
    """The column's name with the number of queries of the paper's test set."""
    name = {"all": "Overall", ">= 1": "\N{GREATER-THAN OR EQUAL TO} 1"}.get(
        column.name, column.name
    )
    found = column.of(counts) if counts else None
    return f"{name} ({found.tally.total:,})" if found else name


def _rows(models: Sequence[ModelView], columns: Sequence[Column]) -> Iterator[TableRow]:
    for view in models:
        name = view.model.name
        if view.published:
            by = name if view.model.paper else f"{name}, the authors' data"
            yield _row(by, view.published, columns)
        if view.measured:
            own = f"{name}, measured" if view.published else name
            own += f" as {view.alternative}" if view.alternative else ""
            cells = _row(own, view.measured, columns).cells
            yield TableRow(cells, "measured")
        if view.published and view.measured:
            both = (view.published, view.measured)
            cells = tuple(_difference(_test(column, *both)) for column in columns)
            yield TableRow((TableCell("difference"), *cells), "difference")


def _row(name: str, summary: Summary, columns: Sequence[Column]) -> TableRow:
    return TableRow((TableCell(name), *(_cell(column.of(summary)) for column in columns)))


def _cell(estimate: Estimate | None) -> TableCell:
    if estimate is None or not estimate.tally.total:
        return _MISSING
    accuracy, (low, high) = estimate.tally.accuracy, estimate.interval
    words = f"{100 * low:.1f} to {100 * high:.1f}"
    return TableCell(f"{100 * accuracy:.2f}", words, accuracy)


def _random(columns: Sequence[Column], counts: Summary | None, chance: Chance) -> TableRow:
    """The paper's random row; over several numops weighted by their queries."""
    totals = {n: e.tally.total for n, e in counts.by_numops.items()} if counts else {}
    groups = {"all": [*NUMOPS], ">= 1": [n for n in NUMOPS if n >= 1]}

    def cell(column: Column) -> TableCell:
        some = groups.get(column.name) or [int(column.name)]
        weight = sum(totals[n] for n in some)
        mean = sum(chance[n] * totals[n] for n in some) / weight
        return TableCell(f"{100 * mean:.2f}", "", mean)

    return TableRow((TableCell("Random"), *map(cell, columns)))


def _test(column: Column, published: Summary, measured: Summary) -> UnpairedTest | None:
    old, new = column.of(published), column.of(measured)
    if not (old and new and old.tally.total and new.tally.total):
        return None
    return unpaired_test(old.tally, new.tally)


def _difference(test: UnpairedTest | None) -> TableCell:
    if test is None:
        return _MISSING
    return TableCell(
        f"{100 * test.difference:+.2f}", f"\N{PLUS-MINUS SIGN} {100 * test.margin:.1f}"
    )


def _records(view: ModelView, columns: Sequence[Column]) -> Iterator[dict[str, Value]]:
    """A record a figure, by every score: figures in per cent, differences in points."""
    row = published_rows().get(view.model.key)
    repositories = {
        "published": row.huggingface_id if row else view.repository,
        "measured": view.repository,
    }
    published = [("published", PUBLISHED, view.published)] if view.published else []
    measured = (("measured", by, summary) for by, summary in view.scores.items())
    for source, score, summary in (*published, *measured):
        for column in columns:
            estimate = column.of(summary)
            if estimate is None:
                continue
            test = None
            if source == "measured" and score == PUBLISHED and view.published:
                test = _test(column, view.published, summary)
            tally, (low, high) = estimate.tally, estimate.interval
            yield {
                "model": view.model.name,
                "huggingface_id": repositories[source],
                "source": source,
                "score": score,
                "numops": column.name,
                "correct": tally.correct,
                "total": tally.total,
                "accuracy": round(100 * tally.accuracy, 4) if tally.total else None,
                "low": round(100 * low, 4),
                "high": round(100 * high, 4),
                "difference": round(100 * test.difference, 4) if test else None,
                "difference_error": round(100 * test.margin, 4) if test else None,
            }
