"""``compare``: two fingerprints, and what moved between them."""

import json
from pathlib import Path
from typing import Annotated

import typer


def compare(
    old: Annotated[Path, typer.Argument(help="The record held against.")],
    new: Annotated[Path, typer.Argument(help="The record of now.")],
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the comparison here too.", metavar="FILE")
    ] = None,
    junit: Annotated[
        Path | None, typer.Option(help="Write it as a JUnit test case too.", metavar="FILE")
    ] = None,
) -> None:
    """Say what moved between two fingerprints, where it began, and what may have done it.

    Exit status: 0 the same or noise, 3 drift (no outcome changed), 4 regression (outcomes
    changed, or a stage fails now), 2 misuse.
    """
    from benchmark.regression.comparison import compare as held_against
    from benchmark.regression.storage import read_record

    comparison = held_against(read_record(old), read_record(new))
    if json_file:
        json_file.write_text(json.dumps(comparison.as_json(), indent=2) + "\n", encoding="utf-8")
    print(json.dumps(comparison.as_json(), indent=2))
    raise typer.Exit(comparison.exit_status)
