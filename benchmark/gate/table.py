"""The result of a gate as text for a terminal."""

from collections.abc import Iterator, Sequence
from math import isfinite

from rich.table import Table

from benchmark.gate.pairing import PairedTask
from benchmark.gate.result import GateResult, figures
from benchmark.stats.gate import TaskDecision
from benchmark.stats.points import signed
from benchmark.terminal import p_value, plain_table

HEADS = ("task", "samples", "old", "new", "90 % interval", "p", "sees", "verdict")

_EXPLANATION = (
    "interval: of the change, one-sided 5 % at each end; p: changed, by Holm's method; "
    "sees: smallest change found with a power of 80 %"
)


def rows(result: GateResult) -> Iterator[Sequence[str]]:
    """Yield the cells of each task under :data:`HEADS`."""
    for name, decision in result.decisions.tasks.items():
        yield name, *_cells(result.tasks[name], decision)


def gate_table(result: GateResult) -> Table:
    """Return the table of tasks, with the notes below it."""
    table = plain_table(f"{result.name}: {result.headline}")
    for number, head in enumerate(HEADS):
        table.add_column(head, justify="left" if number in {0, 7} else "right", no_wrap=number > 0)
    for row in rows(result):
        table.add_row(*row)
    table.caption = "\n".join([*result.notes(), _EXPLANATION])
    return table


def _cells(paired: PairedTask, decision: TaskDecision) -> Iterator[str]:
    count, clusters = decision.clusters.samples, len(decision.clusters.sums)
    shown = figures(paired, decision)
    yield f"{count} in {clusters}" if paired.clustered and clusters < count else str(count)
    yield f"{shown.old:.3f}"
    yield f"{shown.new:.3f}"
    yield f"{signed(shown.low, 3)}, {signed(shown.high, 3)}" if isfinite(shown.low) else "-"
    yield p_value(decision.adjusted_p)
    yield "-" if decision.detectable is None else f"{decision.detectable:.3f}"
    yield decision.verdict
