"""``prompt-format``: choose completion or chat on the dev split (appendix A.1 of the paper)."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.cli.bundles import data_options, output_options, settings_options
from benchmark.cli.comparisons import measure_both, registered_request, show
from benchmark.cli.options import (
    Model,
    ModelStoreFolder,
    RegistryFile,
)
from benchmark.cli.writing import Output

if TYPE_CHECKING:
    from benchmark.runs.requests import DataRequest
    from benchmark.runs.settings import Settings


@output_options()
@data_options("task", "states", "seed")
@settings_options("instruction_role", "bos", "device", "dtype", "batch_size")
def prompt_format(
    model: Model,
    registry_file: RegistryFile = None,
    store: ModelStoreFolder = Path("runs/store"),
    *,
    data: "DataRequest",
    settings: "Settings",
    output: Output,
) -> None:
    """Measure both prompt formats on the dev split and name the better one.

    The model needs a chat template. The bundled models have none; the example loads one from the
    Hugging Face hub.
    """
    from benchmark.models.short_name import short_name
    from benchmark.runs.paired_comparison import better_format

    dev = replace(data, split="dev")
    request = registered_request(model, registry_file, store, dev, settings)
    # The registered quantization applies to both formats.
    completion = replace(request, prompt_format="completion")
    comparison = measure_both(store, completion, replace(completion, prompt_format="chat"), output)
    name, sure = better_format(comparison)
    certainty = "" if sure else " (the difference is not significant)"
    words = f"better on the dev split: {name}{certainty}"
    title = f"{short_name(model)}, dev split: completion -> chat"
    more: dict[str, object] = {"better": name, "significant": sure}
    show(title, ("completion", "chat"), comparison, words, more, output)
