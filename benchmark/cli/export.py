"""``export``: results and data in standard formats."""

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.bundles import output_options
from benchmark.cli.help import VerbCommand, VerbGroup
from benchmark.cli.options import (
    PAPER_TASK,
    DataFile,
    DataSeed,
    Password,
    RegistryFile,
    Split,
    Task,
    flag,
    out,
)
from benchmark.cli.writing import Output

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
    typer.Argument(help="Folders with finished runs in or below them.", metavar="DIR"),
]


@export.command(cls=VerbCommand, epilog=_EXAMPLES["results"])
@output_options("quiet")
def results(
    folders: Folders,
    path: Annotated[Path, out("Parquet file to write.", "FILE")],
    registry_file: RegistryFile = None,
    *,
    output: Output,
) -> None:
    """Write finished runs as Parquet, with one row per query: the question and the answer."""
    from benchmark.export.parquet import write_results
    from benchmark.export.rows import result_rows
    from benchmark.models.registry import load_registry
    from benchmark.output import escape_invisible
    from benchmark.report.gather import answered_states
    from benchmark.runs.store.runs import read_runs

    runs = read_runs(folders, load_registry(registry_file))
    rows = write_results(path, result_rows(runs, answered_states(runs)))
    for run in runs:
        if not run.texts:
            label = escape_invisible(run.label)
            print(f"note: {label}: left out, no predictions.jsonl in its folder")
    output.remark(f"written: {path}, {rows} queries of {sum(bool(run.texts) for run in runs)} runs")


@export.command(cls=VerbCommand, epilog=_EXAMPLES["junit"])
@output_options("quiet")
def junit(
    folders: Folders,
    path: Annotated[Path, out("XML file to write.", "FILE")],
    registry_file: RegistryFile = None,
    *,
    output: Output,
) -> None:
    """Write finished runs as JUnit, with one suite per run, and one case per numops and per pair.

    A pair with both models measured fails if it does not show the expected difference; one with a
    single model measured is skipped.
    """
    from benchmark.export.junit import junit_of, shown_pairs
    from benchmark.models.registry import load_registry
    from benchmark.report.gather import gather
    from benchmark.writing import write_text

    data = gather(folders, load_registry(registry_file))
    write_text(path, [junit_of(data)])
    pairs = shown_pairs(data)
    measured = sum(bool(view.tests) for view in pairs)
    skipped = f" (and {len(pairs) - measured} skipped)" if measured < len(pairs) else ""
    output.remark(f"written: {path}; runs: {len(data.runs)}, pairs: {measured}{skipped}")


@export.command(cls=VerbCommand, epilog=_EXAMPLES["dataset"])
@output_options("quiet")
def dataset(
    path: Annotated[Path, out("Folder to write.", "DIR")],
    task: Task = PAPER_TASK,
    data: DataFile = None,
    password: Password = None,
    split: Annotated[Split, typer.Option(help="The part of the dataset.")] = "test",
    seed: DataSeed = None,
    *,
    subsample: Annotated[
        bool, flag("--subsample", text="Only the evaluated subset (about 716 states).")
    ] = False,
    output: Output,
) -> None:
    """Write data as a folder for datasets.load_dataset(DIR), with a card and Croissant metadata.

    The authors ask not to store such data uncompressed in a repository: do not publish it that way.
    """
    from benchmark.export.dataset import DatasetRequest, write_folder

    rows = write_folder(DatasetRequest(data, password, split, seed, subsample, task), path)
    output.remark(f"written: {path}, {rows} rows, 7 per state")
