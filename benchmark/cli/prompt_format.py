"""``prompt-format``: completion or chat, decided on the dev split (appendix A.1 of the paper)."""

from dataclasses import replace
from pathlib import Path

from benchmark.cli.comparisons import measure_both, show
from benchmark.cli.options import (
    BatchSize,
    Bos,
    DataSeed,
    Device,
    Dtype,
    InstructionRole,
    Json,
    Model,
    ModelStoreFolder,
    RegistryFile,
    States,
)


def prompt_format(
    model: Model,
    registry_file: RegistryFile = None,
    store: ModelStoreFolder = Path("runs/store"),
    states: States = None,
    seed: DataSeed = None,
    instruction_role: InstructionRole = None,
    bos: Bos = "auto",
    device: Device = "auto",
    dtype: Dtype = None,
    batch_size: BatchSize = None,
    *,
    as_json: Json = False,
) -> None:
    """Evaluate both prompt formats on the dev split and name the better."""
    from benchmark.models.registry import wanted_registry
    from benchmark.pipeline import DataRequest, RunRequest
    from benchmark.pipeline.comparison import better_format
    from benchmark.pipeline.pairs import registered

    known = wanted_registry(registry_file)
    request = RunRequest(
        model="",
        out=store,
        data=DataRequest(seed=seed, states=states, split="dev"),
        device=device,
        dtype=dtype,
        batch_size=batch_size,
        instruction_role=instruction_role,
        bos=bos,
    )
    # Loaded as it is registered, a 70B model in 8 bit; prompted in both formats.
    completion = replace(registered(known, model, request), prompt_format="completion")
    comparison = measure_both(store, completion, replace(completion, prompt_format="chat"))
    name, sure = better_format(comparison)
    certainty = "" if sure else ", though by no more than chance might give"
    words = f"better on the dev split: {name}{certainty}"
    title = f"{Path(model).name}, dev split: completion -> chat"
    more: dict[str, object] = {"better": name, "significant": sure}
    show(title, ("completion", "chat"), comparison, words, more, as_json=as_json)
