"""``sensitivity``: what a prompt's bytes are worth."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.cli.options import (
    Json,
    Model,
    ModelStoreFolder,
    Quiet,
    RegistryFile,
    takes_data,
    takes_settings,
)

if TYPE_CHECKING:
    from benchmark.runs.requests import DataRequest
    from benchmark.runs.settings import Settings


@takes_data()
@takes_settings("engine", "instruction_role", "device", "dtype", "batch_size")
def sensitivity(
    model: Model,
    registry_file: RegistryFile = None,
    store: ModelStoreFolder = Path("runs/store"),
    *,
    data: "DataRequest",
    settings: "Settings",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure a model in every prompt variant, with a BOS and without, and compare.

    A measurement that is in the store already is not made again.
    """
    from rich.console import Console

    from benchmark.models.registry import load_registry
    from benchmark.runs.loading import Loaders
    from benchmark.runs.model_store import ModelStore
    from benchmark.runs.progress import RunProgress
    from benchmark.runs.requests import RunRequest, registered
    from benchmark.runs.sensitivity import sensitivity as measure
    from benchmark.runs.sensitivity_table import sensitivity_table

    request = RunRequest("", store, data, **asdict(settings))
    asked = registered(load_registry(registry_file), model, request)
    with RunProgress(Console(stderr=True, quiet=quiet)) as progress:
        rows = measure(asked, ModelStore(store, progress, loaders=Loaders.kept()))
    if as_json:
        print(json.dumps({"model": model, "prompts": [row.as_json() for row in rows]}, indent=2))
        return
    count = len(rows[0].measured.texts)
    title = f"{Path(model).name}, {count} states"
    Console().print(sensitivity_table(title, [row.row for row in rows]))
