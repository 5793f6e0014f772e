"""The result of a gate as text for a terminal."""

from collections.abc import Iterator, Sequence

from rich.table import Table

from benchmark.gate.result import GateResult
from benchmark.gate.task_result import TaskResult
from benchmark.stats.points import SCORE
from benchmark.terminal import p_value, plain_table

HEADS = ("task", "samples", "old", "new", "90 % interval", "p", "sees", "verdict")

_EXPLANATION = (
    "interval: of the change, one-sided 5 % at each end; p: changed, by Holm's method; "
    "sees: smallest change found with a power of 80 %"
)


def rows(result: GateResult) -> Iterator[Sequence[str]]:
    """Yield the cells of each task under :data:`HEADS`."""
    for name, task in result.tasks.items():
        yield name, *_cells(task)


def gate_table(result: GateResult) -> Table:
    """Return the table of tasks, with the notes below it."""
    table = plain_table(f"{result.name}: {result.headline}")
    for number, head in enumerate(HEADS):
        table.add_column(head, justify="left" if number in {0, 7} else "right", no_wrap=number > 0)
    for row in rows(result):
        table.add_row(*row)
    table.caption = "\n".join([*result.reasons(), *result.notes(), _EXPLANATION])
    return table


def _cells(task: TaskResult) -> Iterator[str]:
    count, clusters = task.clusters.samples, len(task.clusters.sums)
    detectable = task.difference.effect.detectable
    yield f"{count} in {clusters}" if task.paired.clustered and clusters < count else str(count)
    yield f"{task.old:.3f}"
    yield f"{task.new:.3f}"
    yield ", ".join(map(SCORE.signed, task.interval)) if task.interval else "-"
    yield p_value(task.difference.p)
    yield "-" if detectable is None else SCORE.size(detectable)
    yield task.verdict
