"""Engines against each other: the table, at most 80 columns wide, and the same as JSON."""

from collections.abc import Mapping, Sequence

from rich.table import Table

from benchmark.speed.differences import Parting
from benchmark.speed.figures import Figures, Limit
from benchmark.speed.specs import Spec
from benchmark.terminal import plain_table

_MEGABYTE = 1_000_000
_COLUMNS = ("n", "s/state", "+-%", "passes", "tokens", "MB", "times", "same", "limit")


def speed_table(title: str, rows: Sequence[Figures]) -> Table:
    """A row an engine; what it does not tell is a dash."""
    table = plain_table(title)
    table.add_column("engine", no_wrap=True)
    for name in _COLUMNS:
        table.add_column(name, justify="right", no_wrap=True, style="bold" * (name == "s/state"))
    for row in rows:
        table.add_row(_name(row), *_cells(row))
    return table


def speed_notes(
    rows: Sequence[Figures], limits: Mapping[str, Limit], paper: Spec | None, rounds: int
) -> list[str]:
    """What stands below the table: its reading, and the engines that were not measured."""
    reading = (
        f"s/state, spread: median of up to {rounds} rounds, slowest less quickest in per cent of "
        "it. tokens: computed, padding included."
    )
    beside = f"{paper.label} in {paper.dtype}, the paper's method." if paper else "nothing."
    notes = [reading, f"times, same: beside {beside}"]
    notes += [
        f"limit, {dtype}: {limit.seconds:.3f} s/state = {limit.tokens:.1f} tokens of "
        f"{1e6 * limit.layers:.0f} us in the layers + {limit.choices:.1f} choices of "
        f"{1e6 * limit.head:.0f} us in the head."
        for dtype, limit in limits.items()
    ]
    on_gpu = [_name(row) for row in rows if row.gpu_memory]
    notes += [f"MB: on the GPU, of {', '.join(on_gpu)}."] if on_gpu else []
    notes += _rooflines(rows)
    notes += [
        f"{row.spec.label}: answers differ between its own rounds"
        for row in rows
        if row.repeatable is False
    ]
    notes += [f"{row.spec.label}: {row.stood_in}" for row in rows if row.stood_in]
    notes += [
        f"{'stopped' if row.rounds else 'not measured'}: {row.failure}"
        for row in rows
        if row.failure
    ]
    return notes


def _rooflines(rows: Sequence[Figures]) -> list[str]:
    """What the formula of ``plan`` says of each engine's passes and tokens."""
    found = [f"{_name(row)} {row.roofline:.3f}" for row in rows if row.roofline is not None]
    if not found:
        return []
    return ["s/state by the formula of plan (docs/plan.md): " + ", ".join(found) + "."]


def partings_table(label: str, found: Sequence[Parting], compared: int) -> Table:
    """The first differing token of each answer, with its margins in logits."""
    title = f"{label}: {len(found)} of {compared} answers differ from the paper's method"
    table = plain_table(title)
    for name in ("state", "token", "ours", "theirs", "margin", "float32"):
        table.add_column(name, justify="right")
    for one in found:
        whole = (one.state, one.token, one.ours, one.theirs)
        table.add_row(*map(str, whole), _margin(one.margin), _margin(one.margin_float32))
    return table


def _name(row: Figures) -> str:
    best = row.spec.label.partition(":")[0].endswith("@best") and not row.spec.best
    label = row.spec.label.replace(":bfloat16", ":bf16").replace(":float", ":f")
    return f"{label} ({row.spec.batch_size})" if best else label


def _cells(row: Figures) -> list[str]:
    if row.seconds is None:
        return ["-"] * len(_COLUMNS)
    memory = row.gpu_memory or row.peak_memory
    return [
        str(row.states),
        f"{row.seconds:.3f}",
        "-" if row.rounds == 1 or row.spread is None else f"{100 * row.spread:.0f}",
        _number(row.passes),
        _number(row.tokens),
        "-" if memory is None else f"{memory / _MEGABYTE:.0f}",
        _number(row.times),
        "-" if row.same is None else f"{row.same}/{row.compared}",
        "-" if row.to_limit is None else f"{row.to_limit:.1f}",
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _margin(value: float | None) -> str:
    return "-" if value is None else f"{value:.2g}"
