"""The table at the end of a run, at most 80 columns wide."""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from rich.table import Table

from benchmark.boxes.baseline import Percentages
from benchmark.models.published import PublishedModel
from benchmark.scoring.outcomes import MAIN, PUBLISHED, SCORES
from benchmark.stats.summary import Estimate, Summary
from benchmark.terminal import number, plain_table


def result_table(
    title: str,
    summaries: Mapping[str, Summary],
    chances: Mapping[str, Percentages] | None = None,
    beside: Sequence[PublishedModel] = (),
) -> Table:
    """Accuracy in per cent by numops, with published models beside it.

    Every score has a column, with the random baseline by the same score at its right where
    ``chances`` has it. Counts and interval are by the main score.
    """
    random = chances or {}
    table = plain_table(title)
    for name in _headings(summaries, random, beside):
        table.add_column(name, justify="right", style="bold" if name in SCORES else "")
    for group in _groups(summaries[MAIN]):
        if group.name == _FIRST_SUM:
            table.add_section()
        estimates = {by: group.of(summary) for by, summary in summaries.items()}
        guesses = {by: group.chance(each) for by, each in random.items()}
        published = (_published(model, group.numops) for model in beside)
        table.add_row(group.name, *_cells(estimates, guesses), *map(number, published))
    table.caption = _caption(summaries, beside)
    return table


_FIRST_SUM = ">= 1"


class _TableRow(NamedTuple):
    """A row: some queries, their figure in a summary, and in a random baseline."""

    name: str
    numops: Sequence[int]
    of: Callable[[Summary], Estimate]
    chance: Callable[[Percentages], float | None]


def _groups(summary: Summary) -> Iterator[_TableRow]:
    yield from map(_single, summary.by_numops)
    every = range(8)
    yield _TableRow(_FIRST_SUM, every[1:], lambda s: s.nontrivial, lambda c: c["nontrivial"])
    yield _TableRow("all", every, lambda s: s.overall, lambda c: c["overall"])


def _single(numops: int) -> _TableRow:
    name = str(numops)
    return _TableRow(
        name, [numops], lambda s: s.by_numops[numops], lambda c: c["by_numops"].get(name)
    )


def _headings(
    scores: Iterable[str], random: Container[str], beside: Sequence[PublishedModel]
) -> Iterator[str]:
    """The columns' names, some of them in two lines so that all columns fit."""
    yield from ("numops", "correct")
    for by in scores:
        yield by
        yield from ["95 %\ninterval"] * (by == MAIN)
        yield from ["random"] * (by in random)
    yield from ("\n".join(model.name.rsplit(" ", 1)) for model in beside)


def _cells(estimates: Mapping[str, Estimate], random: Mapping[str, float | None]) -> Iterator[str]:
    """Counts, the accuracy by every score, the main one's interval, random by the same score."""
    main = estimates[MAIN]
    yield f"{main.tally.correct}/{main.tally.total}"
    for by, estimate in estimates.items():
        yield number(100 * estimate.tally.accuracy if estimate.tally.total else None)
        if by == MAIN:
            yield "\N{EN DASH}".join(map(_end, main.interval)) if main.tally.total else "-"
        if by in random:
            yield number(random[by])


def _end(share: float) -> str:
    """An interval's end, narrow enough for a table with all columns."""
    return number(100 * share).replace("100.0", "100")


def _caption(scores: Iterable[str], beside: Sequence[PublishedModel]) -> str:
    """What the scores are, and which of them is comparable with published figures."""
    notes = {PUBLISHED: ", comparable with published figures"} if beside else {}
    return "\n".join(f"{by}: {SCORES[by].words}{notes.get(by, '')}" for by in scores)


def _published(model: PublishedModel, wanted: Sequence[int]) -> float | None:
    tallies = [model.by_numops[n] for n in wanted if n in model.by_numops]
    total = sum(tally.total for tally in tallies)
    return 100 * sum(tally.correct for tally in tallies) / total if total else None
