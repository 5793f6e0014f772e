"""``plan``: forecast memory, GPUs, order and time of the registered models."""

from typing import Annotated, Literal

import typer

from benchmark.cli.bundles import output_options
from benchmark.cli.options import BatchSize, RegistryFile, setting
from benchmark.cli.writing import Output

_PROTOCOL = "default"

Experiment = Literal["code", "math", "alignment", "control"]


@output_options()
def plan(
    gpus: Annotated[
        int | None,
        typer.Option(help="Number of GPUs; default: those here, else 1.", min=1, metavar="N"),
    ] = None,
    vram: Annotated[
        float | None,
        typer.Option(
            help="Memory of each in 10^9 bytes; default: measured or published.",
            min=1,
            metavar="GB",
        ),
    ] = None,
    gpu: Annotated[
        str, typer.Option(help="Model of the GPUs; an unknown name lists all.", metavar="NAME")
    ] = "H100-80GB-SXM",
    batch_size: BatchSize = None,
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16", "8bit"] | None,
        setting("Number format of all models; default: bfloat16, or 8bit if registered so."),
    ] = None,
    registry_file: RegistryFile = None,
    experiment: Annotated[
        Experiment | None, typer.Option(help="Only the pairs of this experiment.")
    ] = None,
    *,
    output: Output,
) -> None:
    """Forecast memory, GPUs, order and time of the registry's models; nothing is loaded."""
    from benchmark.decoding.protocols import protocol
    from benchmark.errors import SettingError
    from benchmark.models.registry import load_registry
    from benchmark.planning import forecast
    from benchmark.planning.tables import plan_as_json, plan_parts
    from benchmark.terminal import console

    registry = load_registry(registry_file)
    pairs = [p for p in registry.pairs.values() if experiment in {None, p.experiment}]
    if not pairs:
        names = ", ".join(dict.fromkeys(pair.experiment for pair in registry.pairs.values()))
        raise SettingError(f"unknown experiment {experiment!r}; choose one of {names}")
    named = protocol(_PROTOCOL)
    limits = named.limits.changed(batch_size, None)
    how = forecast.ForecastOptions(
        dtype=dtype or named.dtype("cuda"),
        batch_size=limits.batch_size,
        new_tokens=limits.max_new_tokens,
        quantize=dtype is None,
    )
    machine = forecast.machine(gpu, gpus, vram)
    others = registry.unpaired if experiment is None else ()
    planned = forecast.plan(registry, pairs, machine, how, others=others)
    if not output.as_json:
        console().print(*plan_parts(planned), sep="\n")
    output.result(plan_as_json(planned))
