"""``sensitivity``: what a prompt's bytes are worth."""

import json
from pathlib import Path

from benchmark.cli.options import (
    BatchSize,
    DataFile,
    DataSeed,
    Device,
    Dtype,
    Engine,
    InstructionRole,
    Json,
    Model,
    ModelStoreFolder,
    Password,
    Quiet,
    RegistryFile,
    States,
)


def sensitivity(
    model: Model,
    registry_file: RegistryFile = None,
    store: ModelStoreFolder = Path("runs/store"),
    data: DataFile = None,
    password: Password = None,
    states: States = None,
    seed: DataSeed = None,
    engine: Engine = None,
    instruction_role: InstructionRole = None,
    device: Device = "auto",
    dtype: Dtype = None,
    batch_size: BatchSize = None,
    *,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure a model in every prompt variant, with a BOS and without, and compare.

    A measurement that is in the store already is not made again.
    """
    from rich.console import Console

    from benchmark.models.registry import wanted_registry
    from benchmark.pipeline import DataRequest, RunRequest
    from benchmark.pipeline.loading import Loaders
    from benchmark.pipeline.model_store import ModelStore
    from benchmark.pipeline.pairs import registered
    from benchmark.pipeline.sensitivity import sensitivity as measure
    from benchmark.report.progress import RunProgress
    from benchmark.report.sensitivity import sensitivity_table

    request = RunRequest(
        model="",
        out=store,
        data=DataRequest(data, password, seed, states),
        engine=engine,
        instruction_role=instruction_role,
        device=device,
        dtype=dtype,
        batch_size=batch_size,
    )
    asked = registered(wanted_registry(registry_file), model, request)
    with RunProgress(Console(stderr=True, quiet=quiet)) as progress:
        rows = measure(asked, ModelStore(store, progress, loaders=Loaders.kept()))
    if as_json:
        print(json.dumps({"model": model, "prompts": [row.as_json() for row in rows]}, indent=2))
        return
    count = len(rows[0].measured.texts)
    title = f"{Path(model).name}, {count} states"
    Console().print(sensitivity_table(title, [row.row for row in rows]))
