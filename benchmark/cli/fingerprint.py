"""``fingerprint``: record every stage of a model's run."""

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
    MaxNewTokens,
    Password,
    PromptFormat,
    PromptVariant,
    Protocol,
    Quantization,
    Revision,
    States,
)
from benchmark.cli.writing import check_record_name, keep_record


def fingerprint(
    model: Annotated[str, typer.Argument(help="A folder, a GGUF file, or an identifier.")],
    out: Annotated[Path, typer.Option(help="NAME.json, with columns beside it, or NAME.json.gz.")],
    along: Annotated[
        Path | None, typer.Option(help="Follow this older record's answers.", metavar="OLD")
    ] = None,
    repeats: Annotated[
        int, typer.Option(help="Measure the noise floor so often.", min=0, max=1000)
    ] = 0,
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
) -> None:
    """Record a fingerprint of each stage of a run, for compare."""
    from rich.console import Console

    from benchmark.pipeline import DataRequest, RunRequest
    from benchmark.pipeline.fingerprint import FingerprintRequest
    from benchmark.pipeline.fingerprint import fingerprint as recorded
    from benchmark.regression.storage import read_record
    from benchmark.report.progress import RunProgress

    check_record_name(out)
    run = RunRequest(
        model=model,
        out=out,
        data=DataRequest(data, password, seed, states),
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
    )
    request = FingerprintRequest(run, read_record(along) if along else None, repeats)
    with RunProgress(Console(stderr=True)) as progress:
        record = recorded(request, progress)
    keep_record(record, out)
