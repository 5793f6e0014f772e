"""``plan``: forecast memory, GPUs, order and time of the registered models."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from benchmark.cli.bundles import output_options
from benchmark.cli.detect import DetectPoints, detect_as_json, detect_lines
from benchmark.cli.options import PAPER_TASK, BatchSize, RegistryFile, flag, option, setting
from benchmark.cli.writing import Output

if TYPE_CHECKING:
    from benchmark.models.registry_types import Pair, Registry
    from benchmark.planning.forecast import ForecastOptions

_PROTOCOL = "default"

Gpus = Annotated[
    int | None,
    option("Number of GPUs; default: those here, else 1.", least=1, most=10_000, metavar="N"),
]
Vram = Annotated[
    float | None,
    option(
        "Memory of each in 10^9 bytes; default: measured or published.",
        least=1,
        most=1_000_000,
        metavar="GB",
    ),
]
Nodes = Annotated[
    int,
    option("Number of machines with such GPUs.", least=1, most=10_000, metavar="N"),
]
Gpu = Annotated[str, option("Model of the GPUs; an unknown name lists all.", metavar="NAME")]
PlannedDtype = Annotated[
    Literal["float32", "bfloat16", "float16", "8bit"] | None,
    setting("Number format of all models; default: bfloat16."),
]
Experiment = Literal["code", "math", "alignment", "control"]
PapersPairs = Annotated[bool, flag("--paper", text="Only the paper's pairs.")]
OfExperiment = Annotated[Experiment | None, option("Only the pairs of this experiment.")]


@output_options()
def plan(
    gpus: Gpus = None,
    vram: Vram = None,
    gpu: Gpu = "H100-80GB-SXM",
    batch_size: BatchSize = None,
    dtype: PlannedDtype = None,
    registry_file: RegistryFile = None,
    experiment: OfExperiment = None,
    detect: DetectPoints = None,
    nodes: Nodes = 1,
    *,
    paper: PapersPairs = False,
    output: Output,
) -> None:
    """Forecast memory, GPUs, order and time of the registry's models; nothing is loaded."""
    from benchmark.models.registry import load_registry
    from benchmark.planning import forecast
    from benchmark.planning.tables import plan_as_json, plan_parts
    from benchmark.terminal import console

    registry = load_registry(registry_file)
    pairs = _pairs(registry, experiment, paper=paper)
    machine = forecast.machine(gpu, gpus, vram, nodes)
    others = registry.unpaired if experiment is None and not paper else ()
    options = planned_options(dtype, batch_size)
    planned = forecast.plan(registry, pairs, machine, options, others=others)
    if not output.as_json:
        console().print(*plan_parts(planned), sep="\n")
        if detect is not None:
            print(*detect_lines(detect, PAPER_TASK), sep="\n")
    output.result({**plan_as_json(planned), **detect_as_json(detect, PAPER_TASK)})


def _pairs(registry: "Registry", experiment: str | None, *, paper: bool) -> "Sequence[Pair]":
    """Return the pairs of an experiment and of the paper, or all.

    Raises:
        SettingError: if the registry has none of them.
    """
    from benchmark.errors import SettingError

    pairs = [p for p in registry.pairs.values() if experiment in {None, p.experiment}]
    if not pairs:
        names = ", ".join(dict.fromkeys(pair.experiment for pair in registry.pairs.values()))
        raise SettingError(f"unknown experiment {experiment!r}; choose one of {names}")
    if paper and not (pairs := [pair for pair in pairs if pair.paper]):
        raise SettingError("--paper: none of these pairs is the paper's; leave it out")
    return pairs


def planned_options(dtype: str | None, batch_size: int | None) -> "ForecastOptions":
    """Return the settings of the forecast: the default protocol's, unless others are given."""
    from benchmark.decoding.protocols import protocol
    from benchmark.planning.forecast import ForecastOptions
    from benchmark.planning.memory import EIGHT_BIT

    named = protocol(_PROTOCOL)
    quantization = EIGHT_BIT if dtype == EIGHT_BIT else None
    used = named.with_weights_in(quantization)
    limits = used.limits.changed(batch_size, None)
    return ForecastOptions(
        dtype=dtype or used.dtype("cuda"),
        batch_size=limits.batch_size,
        new_tokens=limits.max_new_tokens,
        drafts=used.engine == named.engine,
    )
