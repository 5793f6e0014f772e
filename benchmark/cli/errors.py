"""``errors``: what went wrong in finished runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.bundles import output_options
from benchmark.cli.options import RegistryFile
from benchmark.cli.writing import Output

if TYPE_CHECKING:
    from benchmark.report.data import RunErrors
    from benchmark.stats.error_contrast import TypeContrast

Folders = Annotated[
    list[Path],
    typer.Argument(help="Folders with finished runs in or below them.", metavar="RUN"),
]


@output_options()
def errors(folders: Folders, registry_file: RegistryFile = None, *, output: Output) -> None:
    """Say what went wrong in runs: the type of every error, and accuracy by operation and box.

    Two runs on the same states are compared: which types of error became more or less frequent.
    """
    from benchmark.report.run_errors import contrasts_of

    by_run = _errors(folders, registry_file)
    two = by_run if len(by_run) == 2 else []  # noqa: PLR2004  # a comparison has two sides
    contrasts = contrasts_of(*two) if two else {}
    if not output.as_json:
        _show(by_run, contrasts)
    output.result(
        {
            "runs": [
                {"run": one.view.title, "folder": str(one.view.run.path), **one.summary.as_json()}
                for one in by_run
            ],
            "change": {name: contrast.as_json() for name, contrast in contrasts.items()},
        }
    )


def _errors(folders: list[Path], registry_file: Path | None) -> "list[RunErrors]":
    from benchmark.errors import DataError
    from benchmark.models.registry import load_registry
    from benchmark.report.gather import answered_states, run_views
    from benchmark.report.run_errors import run_errors
    from benchmark.runs.store.runs import read_runs

    runs = read_runs(folders, load_registry(registry_file))
    if missing := [run for run in runs if not run.texts]:
        raise DataError(
            f"{missing[0].path}: no predictions.jsonl, from which errors are computed; restore it, "
            "or leave this run out"
        )
    return list(run_errors(run_views(runs), answered_states(runs)))


def _show(by_run: "list[RunErrors]", contrasts: "dict[str, TypeContrast]") -> None:
    from benchmark.output import escape_invisible
    from benchmark.runs.error_tables import NamedErrors, error_tables
    from benchmark.terminal import console, shortened

    width = 60 if len(by_run) == 1 else max(8, 54 // len(by_run))
    named = [
        NamedErrors(shortened(escape_invisible(one.view.title), width), one.summary)
        for one in by_run
    ]
    console().print(error_tables(named, contrasts))
