"""``plan``: what the registry's models would take, without loading one."""

import json
from typing import Annotated

import typer

from benchmark.cli.options import BatchSize, Json, RegistryFile

_PROTOCOL = "default"


def plan(
    gpus: Annotated[
        int | None, typer.Option(help="How many GPUs; default: those here, else 1.", min=1)
    ] = None,
    vram: Annotated[
        float | None,
        typer.Option(help="Memory of each in 10^9 bytes; default: as found or published.", min=1),
    ] = None,
    gpu: Annotated[
        str, typer.Option(help="Whose speed is taken; any other name lists them.")
    ] = "H100-80GB-SXM",
    batch_size: BatchSize = None,
    dtype: Annotated[
        str | None,
        typer.Option(
            help="float32, bfloat16, float16 or 8bit for all; default: bfloat16, and 8bit where "
            "the registry says so."
        ),
    ] = None,
    registry_file: RegistryFile = None,
    experiment: Annotated[
        str | None, typer.Option(help="Only its pairs: code, math or alignment.")
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Forecast memory, GPUs, order and time of the registry's models; nothing is loaded."""
    from rich.console import Console

    from benchmark.decoding.protocols import protocol
    from benchmark.errors import SettingError
    from benchmark.models.registry import load_registry
    from benchmark.planning import forecast
    from benchmark.planning.tables import plan_as_json, plan_parts

    known = load_registry(registry_file)
    pairs = [p for p in known.pairs.values() if experiment in {None, p.experiment}]
    if not pairs:
        names = ", ".join(dict.fromkeys(pair.experiment for pair in known.pairs.values()))
        raise SettingError(f"no pairs of experiment {experiment!r}; choose of {names}")
    named = protocol(_PROTOCOL)
    limits = named.limits.changed(batch_size, None)
    how = forecast.ForecastOptions(
        dtype=dtype or named.dtype("cuda"),
        batch_size=limits.batch_size,
        new_tokens=limits.max_new_tokens,
        quantize=dtype is None,
    )
    machine = forecast.machine(gpu, gpus, vram)
    others = known.unpaired if experiment is None else ()
    planned = forecast.plan(known, pairs, machine, how, others=others)
    if as_json:
        print(json.dumps(plan_as_json(planned), indent=2))
    else:
        Console().print(*plan_parts(planned), sep="\n")
