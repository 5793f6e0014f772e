"""``list``: the models, pairs, engines and tasks that other verbs take by name."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from benchmark.cli.bundles import output_options
from benchmark.cli.options import RegistryFile
from benchmark.cli.writing import Output

Kind = Literal["models", "pairs", "engines", "tasks"]

_JSON_ONLY = ("hypothesis", "format", "gated")
"""What the table leaves out, so that names fit 80 columns."""

Rows = Sequence[Mapping[str, str]]
"""One mapping from column to text per row; all have the same columns."""


@output_options()
def list_(
    kind: Annotated[
        Kind,
        typer.Argument(help="models, pairs, engines or tasks.", metavar="KIND", show_default=False),
    ],
    registry_file: RegistryFile = None,
    *,
    output: Output,
) -> None:
    """List the models, pairs, engines or tasks that other verbs take by name."""
    from benchmark.terminal import console

    rows = _ROWS[kind](registry_file)
    if not output.as_json:
        console().print(_table(rows))
    output.result(rows)


def _models(registry_file: Path | None) -> Rows:
    from benchmark.models.registry import load_registry

    models = load_registry(registry_file).models.values()
    return [
        {
            "model": model.key,
            "identifier": model.huggingface_id,
            "size": model.size,
            "format": model.format,
            "gated": "yes" if model.gated else "no",
        }
        for model in models
    ]


def _pairs(registry_file: Path | None) -> Rows:
    from benchmark.models.registry import load_registry

    pairs = load_registry(registry_file).pairs.values()
    return [
        {
            "pair": pair.id,
            "base": pair.base,
            "variant": pair.variant,
            "hypothesis": pair.hypothesis,
        }
        for pair in pairs
    ]


def _engines(_registry_file: Path | None) -> Rows:
    from benchmark.decoding.engines import ENGINES

    return [
        {
            "engine": row.name,
            "used by": "run, speed" if row.factory else "speed",
            "description": row.about,
        }
        for row in ENGINES.values()
    ]


def _tasks(_registry_file: Path | None) -> Rows:
    from benchmark.tasks import TASKS

    return [{"task": task.name, "description": task.what} for task in TASKS.values()]


_ROWS: Mapping[Kind, Callable[[Path | None], Rows]] = {
    "models": _models,
    "pairs": _pairs,
    "engines": _engines,
    "tasks": _tasks,
}


def _table(rows: Rows) -> object:
    from benchmark.terminal import plain_table

    table = plain_table(None)
    columns = [name for name in (rows[0] if rows else ()) if name not in _JSON_ONLY]
    for column in columns:
        # Names are copied from here, so they are never broken.
        table.add_column(column, no_wrap=column != "description")
    for row in rows:
        table.add_row(*(row[column] for column in columns))
    return table
