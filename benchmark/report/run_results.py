"""The results of the runs by numops, with random and two published models: chart and table."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from benchmark.hypotheses.results import NONTRIVIAL
from benchmark.models.published import FOR_SCALE
from benchmark.report.accuracy_tables import (
    ALL_COLUMN,
    NO_VALUE,
    NONTRIVIAL_COLUMN,
    Column,
    accuracy_cell,
    estimate_record,
    numops_column,
)
from benchmark.report.captions import captions
from benchmark.report.charts import FEW_QUERIES, SHAPES, Chart, Series, chart, offset
from benchmark.report.data import Chance, ModelView, ReportData, RunView
from benchmark.report.figures import DRAWN_NUMOPS
from benchmark.report.table_model import TableCell, TableModel, TableRow, Value, heading_row
from benchmark.scoring.outcomes import MAIN, PUBLISHED
from benchmark.stats.summary import Estimate
from benchmark.tasks import DEFAULT

_COLOURS = 6
"""Colours of runs in the style sheet. With five shapes, 30 runs differ in one or the other."""


class Comparable(NamedTuple):
    """A run's accuracy by the score of published figures, and random by it on the same states."""

    score: str
    accuracy: float
    chance: float | None


class RunTile(NamedTuple):
    """A run's result at numops >= 1 by the main score, and how its curve is drawn.

    ``chance`` is the random baseline on the same states, by the same score. ``comparable`` is None
    if the run has only the main score.
    """

    view: RunView
    css_class: str
    shape: str
    estimate: Estimate
    chance: float | None
    comparable: Comparable | None

    @property
    def against_random(self) -> str:
        """Whether the interval is below or above the random baseline."""
        if (
            self.chance is None
            or self.estimate.interval.low <= self.chance <= self.estimate.interval.high
        ):
            return "not clearly different from random"
        return f"{'below' if self.estimate.interval.high < self.chance else 'above'} random"

    @property
    def chart_score(self) -> str:
        """The score of the run's curve."""
        return _chart_score(self.view)


class RunResults(NamedTuple):
    """The opening of the page: the runs, the published models for scale, and their chart.

    ``random_of`` is the title of the run on whose states the random baseline is drawn, if the
    runs have different states.
    """

    tiles: tuple[RunTile, ...]
    scale: tuple[Series, ...]
    chart: Chart
    random_of: str


def run_results(report: ReportData) -> RunResults:
    """Return the result of each run by ``set``, and the chart of all by ``exact`` if they have it.

    Curves are next to published ones, which are by ``exact``.
    """
    scale = tuple(_scale_series(report))
    tiles = tuple(_tile(view, number) for number, view in enumerate(report.runs))
    count = len(tiles)
    curves = (
        Series(
            tile.view.title, tile.view.summaries[tile.chart_score], tile.css_class, tile.shape,
            offset(number, count),
        )
        for number, tile in enumerate(tiles)
    )  # fmt: skip
    return RunResults(
        tiles,
        scale,
        chart([*scale, *curves], _chance(report), _numops(report.runs)),
        report.runs[0].title if len({view.run.result.data for view in report.runs}) > 1 else "",
    )


def run_table(report: ReportData) -> TableModel:
    """Return the table of the runs by numops, each by every score, with random on its states."""
    numops = [numops_column(n) for n in _numops(report.runs, fewest_queries=1)]
    columns = (NONTRIVIAL_COLUMN, ALL_COLUMN, *numops)
    rows = [row for view in report.runs for row in _run_rows(view, columns)]
    if scale := _scale(report):
        rows += [heading_row("Published, for scale"), *(_scale_row(m, columns) for m in scale)]
    texts = captions().tables["table-runs"]
    return TableModel(
        "table-runs",
        texts.title,
        texts.caption,
        ("Run", "Score", *(column.heading for column in columns)),
        tuple(rows),
        text_columns=2,
        records=tuple(record for view in report.runs for record in _records(view, columns)),
    )


def _tile(view: RunView, number: int) -> RunTile:
    return RunTile(
        view,
        f"run run-{number % _COLOURS}",
        SHAPES[number % len(SHAPES)],
        view.summary.nontrivial,
        view.chance_on(MAIN, NONTRIVIAL),
        _comparable(view),
    )


def _comparable(view: RunView) -> Comparable | None:
    if PUBLISHED not in view.summaries:
        return None
    accuracy = view.summaries[PUBLISHED].nontrivial.tally.accuracy
    return Comparable(PUBLISHED, accuracy, view.chance_on(PUBLISHED, NONTRIVIAL))


def _chart_score(view: RunView) -> str:
    """Return the score that compares with published figures; the main one if a run lacks it."""
    return PUBLISHED if PUBLISHED in view.summaries else MAIN


def _scale(report: ReportData) -> list[ModelView]:
    """Return the published models for scale; none if no run is of the paper's task."""
    if report.runs and all(view.task != DEFAULT for view in report.runs):
        return []
    return [view for view in report.models if view.model.name in FOR_SCALE]


def _scale_series(report: ReportData) -> Iterator[Series]:
    for number, view in enumerate(_scale(report)):
        if view.published:
            name = f"{view.model.name}, published"
            yield Series(name, view.published, f"scale scale-{number}", SHAPES[number])


def _chance(report: ReportData) -> Chance:
    """Return the random baseline on the first run's states; the paper's without runs."""
    if not report.runs:
        return report.chance
    first = report.runs[0]
    return first.result(_chart_score(first)).chance


def _numops(runs: Sequence[RunView], fewest_queries: int = FEW_QUERIES) -> range:
    """Return the paper's numops, and above them those for which a run has enough queries."""
    by_numops = [view.summary.by_numops for view in runs]
    enough = (n for part in by_numops for n, e in part.items() if e.tally.total >= fewest_queries)
    return range(max(DRAWN_NUMOPS[-1], *enough, 0) + 1)


def _run_rows(view: RunView, columns: Sequence[Column]) -> Iterator[TableRow]:
    """Yield a row for each score, the main one first, each followed by random by that score."""
    for by in (MAIN, *(by for by in view.summaries if by != MAIN)):
        cells = (accuracy_cell(column.estimate(view.summaries[by])) for column in columns)
        if by == MAIN:
            yield TableRow((TableCell(view.title), TableCell(by), *cells), "measured")
        else:
            yield TableRow((TableCell(""), TableCell(by), *cells), "secondary", follows=True)
        cells = (_random_cell(view, by, column) for column in columns)
        random = (TableCell(""), TableCell(f"random, {by}"), *cells)
        yield TableRow(random, "secondary", follows=True)


def _random_cell(view: RunView, score: str, column: Column) -> TableCell:
    chance, estimate = view.chance_on(score, column.queries), column.estimate(view.summaries[score])
    if chance is None or estimate is None:
        return NO_VALUE
    return TableCell(f"{100 * chance:.2f}", "", chance, estimate.tally.total < FEW_QUERIES)


def _scale_row(model: ModelView, columns: Sequence[Column]) -> TableRow:
    cells = (
        accuracy_cell(column.estimate(model.published) if model.published else None)
        for column in columns
    )
    return TableRow((TableCell(model.model.name), TableCell(PUBLISHED), *cells))


def _records(view: RunView, columns: Sequence[Column]) -> Iterator[dict[str, Value]]:
    """Yield one record per score and group of queries; accuracies are in per cent."""
    for score, summary in view.summaries.items():
        for column in columns:
            if estimate := column.estimate(summary):
                chance = view.chance_on(score, column.queries)
                yield {
                    "run": view.title,
                    "model": view.run.model,
                    "score": score,
                    "numops": column.name,
                    **estimate_record(estimate),
                    "random": None if chance is None else round(100 * chance, 4),
                }
