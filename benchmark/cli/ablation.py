"""``ablation``: compare decoding with and without the constraint."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from benchmark.cli.bundles import data_options, output_options, settings_options
from benchmark.cli.comparisons import measure_both, registered_request, show
from benchmark.cli.options import (
    FormatName,
    Model,
    ModelStoreFolder,
    RegistryFile,
    setting,
)
from benchmark.cli.writing import Output

if TYPE_CHECKING:
    from benchmark.runs.requests import DataRequest
    from benchmark.runs.settings import Settings


@output_options()
@data_options()
@settings_options("instruction_role", "bos", "device", "dtype", "batch_size")
def ablation(
    model: Model,
    registry_file: RegistryFile = None,
    store: ModelStoreFolder = Path("runs/store"),
    prompt_format: Annotated[
        FormatName | None, setting("Form of the prompt; default: as registered, or completion.")
    ] = None,
    *,
    data: "DataRequest",
    settings: "Settings",
    output: Output,
) -> None:
    """Compare a model's unconstrained answers with its constrained ones."""
    from benchmark.models.short_name import short_name
    from benchmark.runs.paired_comparison import broken_answers

    constrained = registered_request(model, registry_file, store, data, settings)
    constrained = replace(constrained, prompt_format=prompt_format or constrained.prompt_format)
    comparison = measure_both(
        store, replace(constrained, engine="unconstrained"), constrained, output
    )
    free = comparison.base
    broken, total = broken_answers(free), len(free.texts)
    words = f"unconstrained answers that break the format: {broken}/{total}"
    more: dict[str, object] = {"broken_answers": {"broken": broken, "total": total}}
    names = ("free", "constrained")
    title = f"{short_name(model)}: unconstrained -> constrained"
    show(title, names, comparison, words, more, output)
