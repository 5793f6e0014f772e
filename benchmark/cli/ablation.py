"""``ablation``: what the constraint is worth (the paper's unconstrained decoding)."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.comparisons import measure_both, show
from benchmark.cli.options import (
    BatchSize,
    Bos,
    DataFile,
    DataSeed,
    Device,
    Dtype,
    InstructionRole,
    Json,
    Model,
    ModelStoreFolder,
    Password,
    RegistryFile,
    States,
)


def ablation(
    model: Model,
    registry_file: RegistryFile = None,
    store: ModelStoreFolder = Path("runs/store"),
    data: DataFile = None,
    password: Password = None,
    states: States = None,
    seed: DataSeed = None,
    prompt_format: Annotated[
        str | None, typer.Option(help="completion or chat; default: as registered, completion.")
    ] = None,
    instruction_role: InstructionRole = None,
    bos: Bos = "auto",
    device: Device = "auto",
    dtype: Dtype = None,
    batch_size: BatchSize = None,
    *,
    as_json: Json = False,
) -> None:
    """Measure a model without the constraint and with it, and compare."""
    from benchmark.models.registry import wanted_registry
    from benchmark.pipeline import DataRequest, RunRequest
    from benchmark.pipeline.comparison import broken_answers
    from benchmark.pipeline.pairs import registered

    known = wanted_registry(registry_file)
    request = RunRequest(
        model="",
        out=store,
        data=DataRequest(data, password, seed, states),
        device=device,
        dtype=dtype,
        batch_size=batch_size,
        instruction_role=instruction_role,
        bos=bos,
    )
    constrained = registered(known, model, request)
    constrained = replace(constrained, prompt_format=prompt_format or constrained.prompt_format)
    comparison = measure_both(store, replace(constrained, engine="unconstrained"), constrained)
    free = comparison.base
    broken, total = broken_answers(free), len(free.texts)
    words = f"unconstrained answers that break the format: {broken}/{total}"
    more: dict[str, object] = {"broken_answers": {"broken": broken, "total": total}}
    names = ("free", "constrained")
    title = f"{Path(model).name}: unconstrained -> constrained"
    show(title, names, comparison, words, more, as_json=as_json)
