"""``report``: write figures, tables and the page."""

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.bundles import output_options
from benchmark.cli.options import RegistryFile, flag, option, out
from benchmark.cli.writing import Output

Folders = Annotated[
    list[Path] | None,
    typer.Argument(
        help="Folders with finished runs in or below them; default: published results only.",
        metavar="DIR",
    ),
]
Drift = Annotated[
    list[Path] | None, option("File of compare --json-file; can be repeated.", metavar="FILE")
]
Details = Annotated[bool, flag("--details", text="Print the comparison of each run by numops.")]
MeasuredOnly = Annotated[
    bool, flag("--measured-only", text="Draw figures without the published curves.")
]


@output_options()
def report(
    folders: Folders = None,
    folder: Annotated[Path, out("Folder for the report.", "DIR")] = Path("report"),
    registry_file: RegistryFile = None,
    drift: Drift = None,
    *,
    details: Details = False,
    measured_only: MeasuredOnly = False,
    output: Output,
) -> None:
    """Write the paper's figures and tables, and a page that opens from disk.

    Each run is compared, query by query, with the first run on the same states.
    """
    from benchmark.models.registry import load_registry
    from benchmark.report.gather import gather
    from benchmark.report.terminal_text import report_text
    from benchmark.report.writing import write_report
    from benchmark.terminal import console

    data = gather(folders or [], load_registry(registry_file), drift or [])
    written = write_report(data, folder, published=not measured_only)
    document = {"written": [str(path) for path in written], "notes": data.notes}
    if not output.as_json:
        console().print(report_text(data, details=details))
        output.remark(
            f"written: {folder / 'index.html'} and {len(written) - 1} files with figures and tables"
        )
    output.result(document)
