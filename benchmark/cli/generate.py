"""``generate``: write a dataset generated from a seed."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.options import PAPER_TASK, Seed, Task, flag

_SPLITS = ("train", "dev", "test", "all")


def generate(
    out: Annotated[Path, typer.Option(help="File to write, JSON lines.", metavar="FILE")],
    task: Task = PAPER_TASK,
    split: Annotated[str, typer.Option(help=f"One of {', '.join(_SPLITS)}.")] = "test",
    seed: Seed = 0,
    vocabulary: Annotated[
        Path | None,
        typer.Option(help="CSV with a column object_name; default: 100 nouns.", metavar="FILE"),
    ] = None,
    *,
    subsample: Annotated[
        bool,
        flag("--subsample", text="Only the evaluated subset (about 716 states)."),
    ] = False,
) -> None:
    """Generate states of the boxes task; the same seed yields the same bytes everywhere."""
    from benchmark.boxes.vocabulary import default_vocabulary, read_vocabulary
    from benchmark.errors import SettingError
    from benchmark.tasks import task_named
    from benchmark.writing import write_text

    if split not in _SPLITS:
        raise SettingError(f"unknown split {split!r}; choose one of {', '.join(_SPLITS)}")
    objects = read_vocabulary(vocabulary) if vocabulary else default_vocabulary()
    named = task_named(task)
    states = named.generate(split, seed, objects, subsampled=subsample)
    written = 0

    def lines() -> Iterator[str]:
        nonlocal written
        for state in states:
            written += 1
            yield from (f"{row}\n" for row in named.rows(state))

    write_text(out, lines())
    print(f"written: {out}, {written} states", file=sys.stderr)
