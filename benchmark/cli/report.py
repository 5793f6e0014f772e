"""``report``: figures, tables and the page."""

import json
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.options import Json, RegistryFile, flag


def report(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Folders with finished runs in or below them; none: the published results alone.",
            metavar="[DIR]...",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the report.", metavar="DIR")] = Path(
        "report"
    ),
    registry_file: RegistryFile = None,
    drift: Annotated[
        list[Path] | None,
        typer.Option(help="What compare --json wrote; may be given again.", metavar="FILE"),
    ] = None,
    *,
    measured_only: Annotated[
        bool, flag("--measured-only", text="Figures without the published curves.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write the paper's figures and tables and one page that opens from disk.

    Several runs are compared with the first one on the same states, query by query.
    """
    from rich.console import Console

    from benchmark.models.registry import load_registry
    from benchmark.report.gather import gather
    from benchmark.report.templates import visible
    from benchmark.report.writing import write_report
    from benchmark.runs.paired_table import comparison_table

    material = gather(folders or [], load_registry(registry_file), drift or [])
    written = write_report(material, out, published=not measured_only)
    if as_json:
        print(json.dumps({"written": [str(path) for path in written], "notes": material.notes}))
        return
    for compared in material.compared:
        base, variant, tests = compared.base, compared.variant, compared.tests
        title = visible(f"{base.run.label} (first) -> {variant.run.label} (second)")
        summaries = (base.summary, variant.summary)
        Console().print(comparison_table(title, ("first", "second"), summaries, tests))
    for note in material.notes:
        print(f"note: {visible(note)}")
    print(f"written: {out / 'index.html'}, and {len(written) - 1} figures and tables beside it")
