"""``prompt-format``: completion or chat, decided on the dev split (appendix A.1 of the paper)."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

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


@takes_data("task", "states", "seed")
@takes_settings("instruction_role", "bos", "device", "dtype", "batch_size")
def prompt_format(
    model: Model,
    registry_file: RegistryFile = None,
    store: ModelStoreFolder = Path("runs/store"),
    *,
    data: "DataRequest",
    settings: "Settings",
    as_json: Json = False,
) -> None:
    """Evaluate both prompt formats on the dev split and name the better."""
    from benchmark.models.registry import load_registry
    from benchmark.runs.paired_comparison import better_format
    from benchmark.runs.requests import RunRequest, registered

    known = load_registry(registry_file)
    request = RunRequest("", store, replace(data, split="dev"), **asdict(settings))
    # Loaded as it is registered, a 70B model in 8 bit; prompted in both formats.
    completion = replace(registered(known, model, request), prompt_format="completion")
    comparison = measure_both(store, completion, replace(completion, prompt_format="chat"))
    name, sure = better_format(comparison)
    certainty = "" if sure else ", though by no more than chance might give"
    words = f"better on the dev split: {name}{certainty}"
    title = f"{Path(model).name}, dev split: completion -> chat"
    more: dict[str, object] = {"better": name, "significant": sure}
    show(title, ("completion", "chat"), comparison, words, more, as_json=as_json)
