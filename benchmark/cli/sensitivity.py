"""``sensitivity``: measure every prompt variant."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.cli.options import (
    Json,
    Model,
    ModelStoreFolder,
    Quiet,
    RegistryFile,
    data_options,
    registered_request,
    settings_options,
)

if TYPE_CHECKING:
    from benchmark.runs.requests import DataRequest
    from benchmark.runs.settings import Settings


@data_options()
@settings_options("engine", "instruction_role", "device", "dtype", "batch_size")
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
    """Compare a model's accuracy in every prompt variant, with and without a BOS.

    Measurements that are in the store are reused.
    """
    from benchmark.models.short_name import short_name
    from benchmark.runs.loading import Loaders
    from benchmark.runs.model_store import ModelStore
    from benchmark.runs.progress import RunProgress
    from benchmark.runs.sensitivity import sensitivity as measure
    from benchmark.runs.sensitivity_table import sensitivity_table
    from benchmark.terminal import console

    request = registered_request(model, registry_file, store, data, settings)
    with RunProgress(console(stderr=True, quiet=quiet)) as progress:
        rows = measure(request, ModelStore(store, progress, loaders=Loaders.cached()))
    if as_json:
        print(json.dumps({"model": model, "prompts": [row.as_json() for row in rows]}, indent=2))
        return
    count = len(rows[0].measured.texts)
    title = f"{short_name(model)}, {count} states"
    console().print(sensitivity_table(title, [row.row for row in rows]))
