"""``generate``: write a dataset generated from a seed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer

from benchmark.cli.bundles import output_options
from benchmark.cli.options import PAPER_TASK, Seed, Task, flag, out
from benchmark.cli.writing import Output


@output_options("quiet")
def generate(
    path: Annotated[Path, out("File to write, JSON lines.")],
    task: Task = PAPER_TASK,
    split: Annotated[
        Literal["train", "dev", "test", "all"], typer.Option(help="The part of the dataset.")
    ] = "test",
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
    output: Output,
) -> None:
    """Generate states of the boxes task; the same seed yields the same bytes everywhere."""
    from benchmark.boxes.vocabulary import default_vocabulary, read_vocabulary
    from benchmark.tasks import task_named
    from benchmark.writing import write_text

    objects = read_vocabulary(vocabulary) if vocabulary else default_vocabulary()
    named = task_named(task)
    states = named.generate(split, seed, objects, subsampled=subsample)
    written = 0

    def lines() -> Iterator[str]:
        nonlocal written
        for state in states:
            written += 1
            yield from (f"{row}\n" for row in named.rows(state))

    write_text(path, lines())
    output.say(f"written: {path}, {written} states")
