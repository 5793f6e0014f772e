"""The table at the end of a run, at most 80 columns wide."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from benchmark.boxes.baseline import Percentages
from benchmark.models.published import PublishedModel
from benchmark.stats.summary import Estimate, Summary


def result_table(
    title: str,
    summary: Summary,
    chance: Percentages | None = None,
    beside: Sequence[PublishedModel] = (),
) -> Table:
    """Accuracy by numops, with the random baseline and published models beside it, in per cent."""
    table = plain_table(title)
    table.add_column("numops", justify="right")
    table.add_column("correct", justify="right")
    table.add_column("accuracy", justify="right", style="bold")
    table.add_column("95 % interval", justify="right")
    if chance is not None:
        table.add_column("random", justify="right")
    for model in beside:
        table.add_column(model.name, justify="right")
    for numops, estimate in summary.by_numops.items():
        table.add_row(
            str(numops),
            *_cells(estimate),
            *([number(chance["by_numops"].get(str(numops)))] if chance else []),
            *(number(_published(model, [numops])) for model in beside),
        )
    table.add_section()
    every = range(8)
    for name, estimate, random, wanted in (
        (">= 1", summary.nontrivial, chance and chance["nontrivial"], every[1:]),
        ("all", summary.overall, chance and chance["overall"], every),
    ):
        table.add_row(
            name,
            *_cells(estimate),
            *([number(random)] if chance else []),
            *(number(_published(model, wanted)) for model in beside),
        )
    return table


def plain_table(title: str | None) -> Table:
    """An empty table in the look of all tables here."""
    return Table(
        title=None if title is None else Text(title),  # a name may hold what looks like markup
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )


def _cells(estimate: Estimate) -> tuple[str, str, str]:
    tally, (low, high) = estimate.tally, estimate.interval
    if not tally.total:
        return "0/0", "-", "-"
    interval = f"{100 * low:.1f} to {100 * high:.1f}"
    return f"{tally.correct}/{tally.total}", number(100 * tally.accuracy), interval


def _published(model: PublishedModel, wanted: Sequence[int]) -> float | None:
    tallies = [model.by_numops[n] for n in wanted if n in model.by_numops]
    total = sum(tally.total for tally in tallies)
    return 100 * sum(tally.correct for tally in tallies) / total if total else None


def number(percent: float | None) -> str:
    """A figure in per cent to one decimal, a dash where there is none."""
    return "-" if percent is None else f"{percent:.1f}"
