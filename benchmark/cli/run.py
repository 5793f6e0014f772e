"""``run``: measure a model."""

import json
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.options import (
    BatchSize,
    Bos,
    DataFile,
    DataSeed,
    Device,
    Dtype,
    Engine,
    InstructionRole,
    Json,
    MaxNewTokens,
    Model,
    Password,
    PromptFormat,
    PromptVariant,
    Protocol,
    Quantization,
    Quiet,
    Revision,
    States,
    flag,
)

_BESIDE = ("Llama 2 7B", "CodeLlama 13B")
"""Published models shown for scale."""


def run(
    model: Model,
    out: Annotated[
        Path, typer.Option(help="Folder for predictions.jsonl and result.json.", metavar="DIR")
    ],
    data: DataFile = None,
    password: Password = None,
    states: States = None,
    seed: DataSeed = None,
    engine: Engine = None,
    protocol: Protocol = "default",
    prompt_format: PromptFormat = "completion",
    prompt_variant: PromptVariant = "authors",
    instruction_role: InstructionRole = None,
    bos: Bos = "auto",
    device: Device = "auto",
    dtype: Dtype = None,
    quantization: Quantization = None,
    revision: Revision = None,
    batch_size: BatchSize = None,
    max_new_tokens: MaxNewTokens = None,
    *,
    set_aside: Annotated[
        bool, flag("--set-aside", text="Move another run that is in --out to DIR.1.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure a model on the boxes task; the same command goes on where it stopped."""
    from rich.console import Console

    from benchmark import pipeline
    from benchmark.models.published import published
    from benchmark.report.progress import RunProgress
    from benchmark.report.table import result_table

    request = pipeline.RunRequest(
        model=model,
        out=out,
        data=pipeline.DataRequest(data, password, seed, states),
        engine=engine,
        protocol=protocol,
        prompt_format=prompt_format,
        prompt_variant=prompt_variant,
        instruction_role=instruction_role,
        bos=bos,
        revision=revision,
        device=device,
        dtype=dtype,
        quantization=quantization,
        batch_size=batch_size,
        max_new_tokens=max_new_tokens,
        set_aside=set_aside,
    )
    with RunProgress(Console(stderr=True, quiet=quiet)) as progress:
        measured = pipeline.run(request, progress)
    if as_json:
        print(json.dumps(measured.document, indent=2))
        return
    beside = [published()[name] for name in _BESIDE]
    summaries = {by: scored.summary for by, scored in measured.scores.items()}
    title = f"{Path(model).name} by operations that changed the box, accuracy in per cent"
    Console().print(result_table(title, summaries, measured.baselines, beside))
    print(f"written: {out / 'predictions.jsonl'}, {out / 'result.json'}")
