"""``export``: results and data in standard formats."""

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.help import VerbCommand, VerbGroup
from benchmark.cli.options import PAPER_TASK, DataFile, DataSeed, Password, RegistryFile, Task, flag

export = typer.Typer(
    cls=VerbGroup,
    help="Write results and data in standard formats.",
    rich_markup_mode=None,
)
_EXAMPLES = {
    "results": "runs --out results.parquet",
    "junit": "runs/store --out results.xml",
    "dataset": "--subsample --out boxes",
}

Folders = Annotated[
    list[Path],
    typer.Argument(help="Folders with finished runs in or below them.", metavar="DIR..."),
]


@export.command(cls=VerbCommand, epilog=_EXAMPLES["results"])
def results(
    folders: Folders,
    out: Annotated[Path, typer.Option(help="Parquet file to write.", metavar="FILE")],
    registry_file: RegistryFile = None,
) -> None:
    """Write finished runs as Parquet, with one row per query: the question and the answer."""
    from benchmark.export.parquet import write_results
    from benchmark.export.rows import result_rows
    from benchmark.models.registry import load_registry
    from benchmark.output import escape_invisible
    from benchmark.report.gather import answered_states
    from benchmark.runs.store.runs import read_runs

    runs = read_runs(folders, load_registry(registry_file))
    rows = write_results(out, result_rows(runs, answered_states(runs)))
    for run in runs:
        if not run.texts:
            label = escape_invisible(run.label)
            print(f"note: {label}: left out, no predictions.jsonl in its folder")
    print(f"written: {out}, {rows} queries of {sum(bool(run.texts) for run in runs)} runs")


@export.command(cls=VerbCommand, epilog=_EXAMPLES["junit"])
def junit(
    folders: Folders,
    out: Annotated[Path, typer.Option(help="XML file to write.", metavar="FILE")],
    registry_file: RegistryFile = None,
) -> None:
    """Write finished runs as JUnit, with one suite per run, and one case per numops and per pair.

    A pair with both models measured fails if it does not show the expected difference.
    """
    from benchmark.export.junit import junit_of
    from benchmark.models.registry import load_registry
    from benchmark.report.gather import gather
    from benchmark.writing import write_text

    data = gather(folders, load_registry(registry_file))
    write_text(out, [junit_of(data)])
    pairs = sum(bool(view.tests) for view in data.pairs.values())
    print(f"written: {out}; runs: {len(data.runs)}, pairs: {pairs}")


@export.command(cls=VerbCommand, epilog=_EXAMPLES["dataset"])
def dataset(
    out: Annotated[Path, typer.Option(help="Folder to write.", metavar="DIR")],
    task: Task = PAPER_TASK,
    data: DataFile = None,
    password: Password = None,
    split: Annotated[str, typer.Option(help="One of train, dev, test.")] = "test",
    seed: DataSeed = None,
    *,
    subsample: Annotated[
        bool, flag("--subsample", text="Only the evaluated subset (about 716 states).")
    ] = False,
) -> None:
    """Write data as a folder for datasets.load_dataset(DIR), with a card and Croissant metadata.

    The authors ask not to store such data uncompressed in a repository: do not publish it that way.
    """
    from benchmark.export.dataset import DatasetRequest, write_folder

    rows = write_folder(DatasetRequest(data, password, split, seed, subsample, task), out)
    print(f"written: {out}, {rows} rows, 7 per state")
