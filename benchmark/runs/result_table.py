"""The tables at the end of a run and of the random baseline, at most 80 columns wide."""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from benchmark.boxes.baseline import Percentages, readings
from benchmark.models.published import PublishedModel
from benchmark.scoring.outcomes import MAIN, PUBLISHED, SCORES
from benchmark.stats.summary import Estimate, Summary
from benchmark.terminal import FEW_QUERIES, count_text, few_note, number, plain_table, row_style


def result_table(
    title: str,
    summaries: Mapping[str, Summary],
    chances: Mapping[str, Percentages] | None = None,
    published: Sequence[PublishedModel] = (),
) -> Table:
    """Return accuracies in per cent by numops, next to those of published models.

    Every score has a column, followed by the random baseline by the same score if ``chances`` has
    it. Counts and interval are by the main score.
    """
    random = chances or {}
    table = plain_table(title)
    for name in _headings(summaries, random, published):
        table.add_column(name, justify="right", style="bold" if name in SCORES else "")
    queries = list[int]()
    for group in _groups(summaries[MAIN]):
        if group.name == _FIRST_SUM:
            table.add_section()
        estimates = {score: group.estimate(summary) for score, summary in summaries.items()}
        guesses = {score: group.chance(percentages) for score, percentages in random.items()}
        accuracies = (_published(model, group.numops) for model in published)
        cells = (*_cells(estimates, guesses), *map(number, accuracies))
        queries.append(estimates[MAIN].tally.total)
        table.add_row(group.name, *cells, style=row_style(queries[-1]))
    table.caption = "\n".join(
        [*_caption(summaries, published), *few_note(queries, ", no interval")]
    )
    return table


_FIRST_SUM = ">= 1"


class _TableRow(NamedTuple):
    """A row: a group of queries, and where a summary and a random baseline have its figure."""

    name: str
    numops: Sequence[int]
    estimate: Callable[[Summary], Estimate]
    chance: Callable[[Percentages], float | None]


def _groups(summary: Summary) -> Iterator[_TableRow]:
    yield from map(_single, summary.by_numops)
    numops = range(8)
    yield _TableRow(_FIRST_SUM, numops[1:], lambda s: s.nontrivial, lambda c: c["nontrivial"])
    yield _TableRow("all", numops, lambda s: s.overall, lambda c: c["overall"])


def _single(numops: int) -> _TableRow:
    name = str(numops)
    return _TableRow(
        name, [numops], lambda s: s.by_numops[numops], lambda c: c["by_numops"].get(name)
    )


def _headings(
    scores: Iterable[str], random: Container[str], published: Sequence[PublishedModel]
) -> Iterator[str]:
    """Yield the column headings; some have two lines so that all columns fit."""
    yield from ("numops", "correct")
    for score in scores:
        yield score
        yield from ["95 %\ninterval"] * (score == MAIN)
        yield from ["random"] * (score in random)
    yield from ("\n".join(model.name.rsplit(" ", 1)) for model in published)


def _cells(estimates: Mapping[str, Estimate], random: Mapping[str, float | None]) -> Iterator[str]:
    """Yield the counts, then for each score the accuracy, the interval (main score) and chance."""
    main = estimates[MAIN]
    yield count_text(f"{main.tally.correct}/{main.tally.total}", main.tally.total)
    for score, estimate in estimates.items():
        yield number(100 * estimate.tally.accuracy if estimate.tally.total else None)
        if score == MAIN:
            enough = main.tally.total >= FEW_QUERIES
            yield "\N{EN DASH}".join(map(_bound, main.interval)) if enough else "\N{EN DASH}"
        if score in random:
            yield number(random[score])


def _bound(share: float) -> str:
    """Return the bound of an interval, short enough for a table with all columns."""
    return number(100 * share).replace("100.0", "100")


def _caption(scores: Iterable[str], published: Sequence[PublishedModel]) -> list[str]:
    """Explain the scores, and say which one is comparable with published figures."""
    notes = {PUBLISHED: ", comparable with published figures"} if published else {}
    return [f"{score}: {SCORES[score].words}{notes.get(score, '')}" for score in scores]


def _published(model: PublishedModel, numops: Sequence[int]) -> float | None:
    tallies = [model.by_numops[n] for n in numops if n in model.by_numops]
    total = sum(tally.total for tally in tallies)
    return 100 * sum(tally.correct for tally in tallies) / total if total else None


def baseline_table(baselines: Mapping[str, Percentages]) -> RenderableType:
    """Return the expected accuracy by numops and reading, with a line about each reading."""
    table = plain_table(None)  # too narrow for a title of its own
    table.add_column("numops", justify="right")
    for name in baselines:
        table.add_column(name, justify="right")
    columns = list(baselines.values())
    for numops in columns[0]["by_numops"]:
        table.add_row(numops, *(number(column["by_numops"][numops]) for column in columns))
    table.add_section()
    table.add_row(">= 1", *(number(column["nontrivial"]) for column in columns))
    table.add_row("all", *(number(column["overall"]) for column in columns))
    words = "\n".join(f"{name}: {readings()[name].wording}" for name in baselines)
    return Group(table, Text(words, style="dim"))
