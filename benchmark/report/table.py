"""The table at the end of a run, at most 80 columns wide."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from benchmark.boxes.baseline import Percentages
from benchmark.models.published import PublishedModel
from benchmark.scoring.outcomes import MAIN, PUBLISHED, SCORES
from benchmark.stats.summary import Estimate, Summary


def result_table(
    title: str,
    summaries: Mapping[str, Summary],
    chance: Percentages | None = None,
    beside: Sequence[PublishedModel] = (),
) -> Table:
    """Accuracy in per cent by numops and every score, with random and published ones beside it.

    Counts and interval are those of the main score.
    """
    table = plain_table(title)
    for name in _headings(summaries, beside, random=chance is not None):
        table.add_column(name, justify="right", style="bold" if name in SCORES else "")
    for group in _groups(summaries[MAIN], chance):
        if group.name == _FIRST_SUM:
            table.add_section()
        estimates = {by: group.of(summary) for by, summary in summaries.items()}
        random = [group.random] if chance else []
        published = [_published(model, group.numops) for model in beside]
        table.add_row(group.name, *_cells(estimates), *map(number, [*random, *published]))
    table.caption = _caption(summaries, beside)
    return table


_FIRST_SUM = ">= 1"


class _Group(NamedTuple):
    """A row: some queries, their figure in a summary, and their random baseline."""

    name: str
    numops: Sequence[int]
    of: Callable[[Summary], Estimate]
    random: float | None


def _groups(summary: Summary, chance: Percentages | None) -> Iterator[_Group]:
    for n in summary.by_numops:
        random = chance["by_numops"].get(str(n)) if chance else None
        yield _Group(str(n), [n], lambda s, n=n: s.by_numops[n], random)  # type: ignore[misc]
    every = range(8)
    sums = (chance["nontrivial"], chance["overall"]) if chance else (None, None)
    yield _Group(_FIRST_SUM, every[1:], lambda s: s.nontrivial, sums[0])
    yield _Group("all", every, lambda s: s.overall, sums[1])


def _headings(
    scores: Iterable[str], beside: Sequence[PublishedModel], *, random: bool
) -> Iterator[str]:
    yield from ("numops", "correct")
    for by in scores:
        yield by
        if by == MAIN:
            yield "95 % interval"
    yield from ["random"] * random
    # Two lines, so that all columns fit.
    yield from ("\n".join(model.name.rsplit(" ", 1)) for model in beside)


def _caption(scores: Iterable[str], beside: Sequence[PublishedModel]) -> str:
    """What the scores are, and which of them is comparable with published figures."""
    notes = {PUBLISHED: ", comparable with published figures"} if beside else {}
    return "\n".join(f"{by}: {SCORES[by].words}{notes.get(by, '')}" for by in scores)


def plain_table(title: str | None) -> Table:
    """An empty table in the look of all tables here."""
    return Table(
        title=None if title is None else Text(title),  # a name may hold what looks like markup
        title_justify="left",
        title_style="bold",
        caption_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )


def _cells(estimates: Mapping[str, Estimate]) -> Iterator[str]:
    """Counts, the accuracy by every score, and the interval behind the main one."""
    main = estimates[MAIN]
    yield f"{main.tally.correct}/{main.tally.total}"
    for by, estimate in estimates.items():
        yield number(100 * estimate.tally.accuracy if estimate.tally.total else None)
        if by == MAIN:
            low, high = main.interval
            yield f"{100 * low:.1f} to {100 * high:.1f}" if main.tally.total else "-"


def _published(model: PublishedModel, wanted: Sequence[int]) -> float | None:
    tallies = [model.by_numops[n] for n in wanted if n in model.by_numops]
    total = sum(tally.total for tally in tallies)
    return 100 * sum(tally.correct for tally in tallies) / total if total else None


def number(percent: float | None) -> str:
    """A figure in per cent to one decimal, a dash where there is none."""
    return "-" if percent is None else f"{percent:.1f}"
