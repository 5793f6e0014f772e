"""The table of a speed comparison, at most 80 columns wide, and the notes below it."""

import re
from collections.abc import Mapping, Sequence

from rich.table import Table

from benchmark.speed.choice import choice_notes
from benchmark.speed.differences import FirstDifference
from benchmark.speed.figures import ArithmeticLimit, Figures, limit_error
from benchmark.speed.specs import EngineSpec
from benchmark.terminal import plain_table

_MEGABYTE = 1_000_000
_NAME_WIDTH = 17
"""Longer names of engines are broken; with this width most tables have 80 columns."""

_COLUMNS = ("n", "s/state", "+-%", "passes", "tokens", "MB", "times", "same", "limit")


def speed_table(title: str, rows: Sequence[Figures]) -> Table:
    """Return a table with one row per engine; unreported figures are dashes."""
    table = plain_table(title)
    table.add_column("engine", overflow="fold")
    for name in _COLUMNS:
        table.add_column(name, justify="right", no_wrap=True, style="bold" * (name == "s/state"))
    for row in rows:
        table.add_row(_broken(_name(row)), *_cells(row))
    return table


def speed_notes(
    rows: Sequence[Figures],
    limits: Mapping[str, ArithmeticLimit],
    paper: EngineSpec | None,
    rounds: int,
) -> list[str]:
    """Return the lines below the table.

    They say how to read it, which engine to take, and which engines were not measured.
    """
    notes = [*_legend(paper, rounds), *map(_limit, limits.items())]
    on_gpu = [_name(row) for row in rows if row.gpu_memory]
    notes += [f"MB is GPU memory for {', '.join(on_gpu)}."] if on_gpu else []
    notes += [
        f"The limit in {dtype} is uncertain: other programs disturbed its timing."
        for dtype, limit in limits.items()
        if limit.disturbed
    ]
    errors = (limit_error(dtype, limit, rows) for dtype, limit in limits.items())
    notes += [error for error in errors if error]
    notes += _rooflines(rows)
    used = [f"{_name(row)} {row.products}" for row in rows if row.products]
    notes += ["Matrix products used: " + ", ".join(used) + "."] if used else []
    compiled = [f"{_name(row)} ({row.kernels})" for row in rows if row.kernels]
    notes += ["Compiled kernels used: " + ", ".join(compiled) + "."] if compiled else []
    notes += [
        f"{row.spec.label}: answers differ between its own rounds"
        for row in rows
        if row.repeatable is False
    ]
    notes += choice_notes(rows)
    notes += [f"{row.spec.label}: {row.stood_in}" for row in rows if row.stood_in]
    notes += [
        f"{'stopped' if row.rounds else 'not measured'}: {row.failure}"
        for row in rows
        if row.failure
    ]
    return notes


def _legend(paper: EngineSpec | None, rounds: int) -> list[str]:
    """Return what each column means, one line per column or two."""
    reference = f"{paper.label} in {paper.dtype}" if paper else ""
    compared = (
        [
            f"times    how many times as fast as the paper's method, {reference}",
            "same     answers that are equal to those of the paper's method",
        ]
        if paper
        else ["times    no figure: the paper's method was not timed (outlines)"]
    )
    median = f"the median of up to {rounds} rounds" if rounds > 1 else "of one round"
    return [
        "n        states measured",
        f"s/state  seconds per state, {median}",
        "+-%      slowest minus fastest round, in per cent of the median",
        "passes   runs of the model per state; one run serves many states",
        "tokens   tokens computed per state, padding included",
        "MB       most memory used by the engine's process",
        *compared,
        "limit    time as a multiple of that of the matrix products alone (below)",
    ]


def _limit(measured: tuple[str, ArithmeticLimit]) -> str:
    dtype, limit = measured
    return (
        f"Matrix products alone in {dtype}: {limit.seconds:.3g} s per state, which is "
        f"{limit.tokens:.1f} tokens at {1e6 * limit.layers:.3g} us each in the layers and "
        f"{1e6 * limit.attention:.3g} us in attention, and {limit.choices:.1f} choices at "
        f"{1e6 * limit.head:.3g} us each in the head."
    )


def _rooflines(rows: Sequence[Figures]) -> list[str]:
    """Return the note with the formula of ``plan`` for each engine's passes and tokens."""
    figures = [f"{_name(row)} {row.roofline:.3g}" for row in rows if row.roofline is not None]
    if not figures:
        return []
    return ["Seconds per state by the formula of plan (docs/plan.md): " + ", ".join(figures) + "."]


def differences_table(label: str, differences: Sequence[FirstDifference], compared: int) -> Table:
    """Return a table of the first differing token of each answer, with its margins in logits."""
    title = f"{label}: {len(differences)} of {compared} answers differ from the paper's method"
    table = plain_table(title)
    for name in ("state", "token", "ours", "theirs", "margin", "float32"):
        table.add_column(name, justify="right")
    for one in differences:
        cells = (one.state, one.token, one.ours, one.theirs)
        table.add_row(*map(str, cells), _margin(one.margin), _margin(one.margin_float32))
    return table


def _name(row: Figures) -> str:
    best = row.spec.label.partition(":")[0].endswith("@best") and not row.spec.best
    label = row.spec.label.replace(":bfloat16", ":bf16").replace(":float", ":f")
    return f"{label} ({row.spec.batch_size})" if best else label


def _broken(name: str) -> str:
    """Return a name in lines: ``speculative+onednn`` has two, the second ``+onednn``."""
    first, *others = re.split(r"(?=[+@:])", name)
    lines = [first]
    for part in others:
        if len(lines[-1] + part) <= _NAME_WIDTH:
            lines[-1] += part
        else:
            lines.append(part)
    return "\n".join(lines)


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
    return "-" if value is None else f"{value:z.2g}"
