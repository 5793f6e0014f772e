"""``ablation``: what the constraint is worth (the paper's unconstrained decoding)."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.comparisons import measure_both, show
from benchmark.cli.options import (
    Json,
    Model,
    ModelStoreFolder,
    RegistryFile,
    takes_data,
    takes_settings,
)

if TYPE_CHECKING:
    from benchmark.runs.requests import DataRequest
    from benchmark.runs.settings import Settings


@takes_data()
@takes_settings("instruction_role", "bos", "device", "dtype", "batch_size")
def ablation(
    model: Model,
    registry_file: RegistryFile = None,
    store: ModelStoreFolder = Path("runs/store"),
    prompt_format: Annotated[
        str | None, typer.Option(help="completion or chat; default: as registered, completion.")
    ] = None,
    *,
    data: "DataRequest",
    settings: "Settings",
    as_json: Json = False,
) -> None:
    """Measure a model without the constraint and with it, and compare."""
    from benchmark.models.registry import load_registry
    from benchmark.runs.paired_comparison import broken_answers
    from benchmark.runs.requests import RunRequest, registered

    known = load_registry(registry_file)
    request = RunRequest("", store, data, **asdict(settings))
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
