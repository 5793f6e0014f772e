"""``sensitivity``: measure every prompt variant."""

from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.cli.bundles import data_options, output_options, settings_options
from benchmark.cli.comparisons import registered_request
from benchmark.cli.options import (
    Model,
    ModelStoreFolder,
    RegistryFile,
)
from benchmark.cli.writing import Output

if TYPE_CHECKING:
    from benchmark.runs.requests import DataRequest
    from benchmark.runs.settings import Settings


@output_options()
@data_options()
@settings_options("engine", "instruction_role", "device", "dtype", "batch_size")
def sensitivity(
    model: Model,
    registry_file: RegistryFile = None,
    store: ModelStoreFolder = Path("runs/store"),
    *,
    data: "DataRequest",
    settings: "Settings",
    output: Output,
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
    with RunProgress(console(stderr=True, quiet=output.quiet)) as progress:
        rows = measure(request, ModelStore(store, progress, loaders=Loaders.cached()))
    if not output.as_json:
        title = f"{short_name(model)}, {len(rows[0].measured.texts)} states"
        console().print(sensitivity_table(title, [row.row for row in rows]))
    output.result({"model": model, "prompts": [row.as_json() for row in rows]})
