"""``prefetch``: fetch models of the hub before they are measured."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.bundles import output_options
from benchmark.cli.options import RegistryFile, flag
from benchmark.cli.plan import Gpus, OfExperiment, PlannedDtype, Vram
from benchmark.cli.writing import Output

if TYPE_CHECKING:
    from benchmark.planning.forecast import ForecastOptions, Machine
    from benchmark.runs.prefetch import FoundModel, WantedModel

Names = Annotated[
    list[str] | None,
    typer.Argument(help="Keys of the registry, or identifiers of the hub.", metavar="MODEL"),
]
Every = Annotated[bool, flag("--all", text="Every model of the registry.")]
DryRun = Annotated[bool, flag("--dry-run", text="Fetch configurations and tokenizers only.")]
Optional = Annotated[
    bool, flag("--optional", text="Exit with 0 also if a model cannot be fetched.")
]


@output_options()
def prefetch(
    names: Names = None,
    experiment: OfExperiment = None,
    registry_file: RegistryFile = None,
    gpus: Gpus = None,
    vram: Vram = None,
    dtype: PlannedDtype = None,
    *,
    every: Every = False,
    dry_run: DryRun = False,
    optional: Optional = False,
    output: Output,
) -> None:
    """Fetch models of the hub, so that later runs need no network.

    Sizes, free disk and time are printed first. A model that is gated, has no weights or tokenizer,
    or does not fit on the GPUs here in --dtype is left out, and its weights are not fetched; --gpus
    and --vram describe other GPUs. The exit code is 2 if one was left out.
    """
    from benchmark.errors import SettingError
    from benchmark.models.registry import load_registry
    from benchmark.runs import prefetch as fetching

    registry = load_registry(registry_file)
    models = fetching.wanted_models(registry, names or (), experiment, every=every)
    if not models:
        raise SettingError("name models, or use --experiment or --all; see: list")
    machine, options = _machine(gpus, vram), _options(dtype)

    def look(model: "WantedModel") -> "FoundModel":
        output.say(f"looking at {model.name}")
        return fetching.find_model(model, machine, options)

    found = [look(model) for model in models]
    if not output.as_json:
        _show(found)
    fetching.check_total(found)
    reasons = [(model, model.reason) for model in found]
    if not dry_run:
        reasons = list(fetching.fetch_models(found, output.say, look))
    output.result(_as_json(reasons))
    if not optional:
        fetching.check_complete(reasons)
    for left_out, reason in reasons:
        if reason:
            print(f"not fetched: {left_out.model.name}: {reason}", file=sys.stderr)


def _machine(gpus: int | None, vram: float | None) -> "Machine | None":
    """Return the GPUs of the options or those that torch sees; None if there are none."""
    from benchmark.models.gpus import gpus as visible_gpus
    from benchmark.planning.forecast import machine
    from benchmark.planning.planning import planning

    visible = visible_gpus()
    if gpus is None and vram is None and not visible:
        return None
    if visible:  # what is not given is as here
        gpus = gpus or len(visible)
        vram = vram or min(gpu.memory for gpu in visible) / 1e9
    return machine(next(iter(planning().gpus)), gpus, vram)


def _options(dtype: str | None) -> "ForecastOptions":
    from benchmark.cli.plan import planned_options

    return planned_options(dtype, None)


def _show(found: "Sequence[FoundModel]") -> None:
    from benchmark.models.hub_download import free_space
    from benchmark.runs.prefetch import expected_time
    from benchmark.terminal import console, plain_table

    table = plain_table("Models; sizes of weights in GB")
    table.add_column("model", overflow="fold")
    for name in ("size", "missing"):
        table.add_column(name, justify="right")
    table.add_column("left out because", overflow="fold")
    for model in found:
        sizes = (f"{size / 1e9:.1f}" for size in (model.files.total, model.missing))
        table.add_row(model.model.name, *(("-", "-") if model.reason else sizes), model.reason)
    folder, free = free_space()
    missing = sum(model.missing for model in found)
    console().print(
        table,
        f"To fetch: {missing / 1e9:.1f} GB; {free / 1e9:.1f} GB are free in {folder}; "
        f"{expected_time(missing)}.",
        sep="\n",
    )


def _as_json(reasons: "Sequence[tuple[FoundModel, str]]") -> dict[str, object]:
    from benchmark.models.hub_download import free_space

    folder, _ = free_space()
    return {
        "models": [
            {
                "name": model.model.name,
                "huggingface_id": model.model.huggingface_id,
                "revision": model.model.revision,
                "folder": str(model.location.folder) if model.location else None,
                "bytes": model.files.total,
                "fetched_bytes": 0 if reason else model.missing,
                "reason": reason or None,
            }
            for model, reason in reasons
        ],
        "cache": str(folder),
    }
