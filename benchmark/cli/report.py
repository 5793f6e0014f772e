"""``report``: write figures, tables and the page."""

import json
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.options import Json, RegistryFile, flag


def report(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Folders with finished runs in or below them; default: published results only.",
            metavar="[DIR]...",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the report.", metavar="DIR")] = Path(
        "report"
    ),
    registry_file: RegistryFile = None,
    drift: Annotated[
        list[Path] | None,
        typer.Option(help="Output of compare --json; can be repeated.", metavar="FILE"),
    ] = None,
    *,
    measured_only: Annotated[
        bool, flag("--measured-only", text="Draw figures without the published curves.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write the paper's figures and tables, and a page that opens from disk.

    Each run is compared, query by query, with the first run on the same states.
    """
    from benchmark.models.registry import load_registry
    from benchmark.output import escape_invisible
    from benchmark.report.gather import gather
    from benchmark.report.writing import write_report
    from benchmark.runs.paired_table import comparison_table
    from benchmark.terminal import console

    data = gather(folders or [], load_registry(registry_file), drift or [])
    written = write_report(data, out, published=not measured_only)
    if as_json:
        print(json.dumps({"written": [str(path) for path in written], "notes": data.notes}))
        return
    for comparison in data.comparisons:
        base, variant, tests = comparison.base, comparison.variant, comparison.tests
        title = escape_invisible(f"{base.title} (first) -> {variant.title} (second)")
        summaries = (base.summary, variant.summary)
        console().print(comparison_table(title, ("first", "second"), summaries, tests))
    for note in data.notes:
        print(f"note: {escape_invisible(note)}")
    print(f"written: {out / 'index.html'} and {len(written) - 1} files with figures and tables")
