"""``export``: results and data in the forms that others read."""

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.options import PAPER_TASK, DataFile, DataSeed, Password, RegistryFile, Task, flag

export = typer.Typer(help="Write results and data in the forms that others read.")

Folders = Annotated[
    list[Path],
    typer.Argument(help="Folders with finished runs in or below them.", metavar="DIR..."),
]


@export.command()
def results(
    folders: Folders,
    out: Annotated[Path, typer.Option(help="Parquet file to write.", metavar="FILE")],
    registry_file: RegistryFile = None,
) -> None:
    """Write finished runs as Parquet: a row a query, what was asked and what was answered."""
    from benchmark.export.parquet import write_results
    from benchmark.export.rows import result_rows
    from benchmark.models.registry import load_registry
    from benchmark.report.gather import answered_states
    from benchmark.report.templates import visible
    from benchmark.runs.store.runs import read_runs

    runs = read_runs(folders, load_registry(registry_file))
    rows = write_results(out, result_rows(runs, answered_states(runs)))
    for run in runs:
        if not run.texts:
            print(f"note: {visible(run.label)}: no predictions.jsonl beside its result; left out")
    print(f"written: {out}, {rows} queries of {sum(bool(run.texts) for run in runs)} runs")


@export.command()
def junit(
    folders: Folders,
    out: Annotated[Path, typer.Option(help="XML file to write.", metavar="FILE")],
    registry_file: RegistryFile = None,
) -> None:
    """Write finished runs as JUnit: a suite a run, a case a numops, and a case a pair.

    Pairs of which both models are there fail when they do not show what is expected of them.
    """
    from benchmark.export.junit import junit_of
    from benchmark.models.registry import load_registry
    from benchmark.report.gather import gather
    from benchmark.writing import write_text

    material = gather(folders, load_registry(registry_file))
    write_text(out, [junit_of(material)])
    pairs = sum(bool(view.tests) for view in material.pairs.values())
    print(f"written: {out}; runs: {len(material.runs)}, pairs: {pairs}")


@export.command()
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
    """Write data as a folder that datasets.load_dataset(DIR) loads, with its card and Croissant.

    The authors ask that such data never lie uncompressed in a repository: do not publish it so.
    """
    from benchmark.export.dataset import SourceRequest, write_folder

    written = write_folder(SourceRequest(data, password, split, seed, subsample, task), out)
    print(f"written: {out}, {written} rows, 7 a state")
