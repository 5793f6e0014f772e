"""``isolate``: the code or the environment?"""

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.options import JsonFile
from benchmark.cli.writing import say, write_json


def isolate(
    old: Annotated[Path, typer.Argument(help="A record made with other code and environment.")],
    model: Annotated[str, typer.Option(help="The model that it was made with.", metavar="M")],
    commit: Annotated[
        str | None, typer.Option(help="Of the old code; default: found by the record's digests.")
    ] = None,
    repository: Annotated[
        Path | None, typer.Option(help="Where the project's git is.", metavar="DIR")
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Run a record's own code in this environment, to tell code from environment.

    Exit status as of compare, for both together: 0, 3 or 4.
    """
    from benchmark.pipeline.isolation import isolate as isolated

    found = isolated(old, model, say, commit, repository)
    write_json(json_file, found.as_json())
    for line in found.lines():
        print(line)
    raise typer.Exit(found.whole.exit_status)
