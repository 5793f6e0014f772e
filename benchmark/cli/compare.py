"""``compare``: two fingerprints, and what moved between them."""

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.options import JsonFile
from benchmark.cli.writing import write_json


def compare(
    old: Annotated[Path, typer.Argument(help="The record held against.")],
    new: Annotated[Path, typer.Argument(help="The record of now.")],
    json_file: JsonFile = None,
    junit_file: Annotated[
        Path | None, typer.Option("--junit", help="Write a JUnit case here.", metavar="FILE")
    ] = None,
) -> None:
    """Say what moved between two fingerprints, where it began, and what may have done it.

    Exit status: 0 the same or noise, 3 drift (no outcome changed), 4 regression (outcomes
    changed, or a stage fails now), 2 misuse.
    """
    from rich.console import Console

    from benchmark.regression.comparison import compare as held_against
    from benchmark.regression.storage import read_record
    from benchmark.report.continuous import junit, on_github
    from benchmark.report.shift import shift_report

    comparison = held_against(read_record(old), read_record(new))
    name = f"{old.name} -> {new.name}"
    write_json(json_file, comparison.as_json())
    if junit_file:
        junit_file.write_text(junit(comparison, name), encoding="utf-8")
    Console().print(shift_report(comparison))
    if annotation := on_github(comparison, name):
        print(annotation)
    raise typer.Exit(comparison.exit_status)
