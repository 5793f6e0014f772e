"""``isolate``: the code or the environment?"""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer


def isolate(
    old: Annotated[Path, typer.Argument(help="A record made with other code and environment.")],
    model: Annotated[str, typer.Option(help="The model that it was made with.", metavar="M")],
    commit: Annotated[
        str | None, typer.Option(help="Of the old code; default: found by the record's digests.")
    ] = None,
    repository: Annotated[
        Path | None, typer.Option(help="Where the project's git is.", metavar="DIR")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write it as JSON here.", metavar="FILE")
    ] = None,
) -> None:
    """Run a record's own code in this environment, to tell code from environment.

    Exit status as of compare, for both together: 0, 3 or 4.
    """
    from benchmark.pipeline.isolation import isolate as isolated

    found = isolated(old, model, _say, commit, repository)
    if json_file:
        json_file.write_text(json.dumps(found.as_json(), indent=2) + "\n", encoding="utf-8")
    for line in found.lines():
        print(line)
    raise typer.Exit(found.whole.exit_status)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
