"""``prompt-format``: completion or chat, decided on the dev split (appendix A.1 of the paper)."""

from pathlib import Path

from benchmark.cli.comparisons import show
from benchmark.cli.options import (
    BatchSize,
    DataSeed,
    Device,
    Dtype,
    Json,
    Model,
    ModelStoreFolder,
    States,
)


def prompt_format(
    model: Model,
    store: ModelStoreFolder = Path("runs/store"),
    states: States = None,
    seed: DataSeed = None,
    device: Device = "auto",
    dtype: Dtype = None,
    batch_size: BatchSize = None,
    *,
    as_json: Json = False,
) -> None:
    """Evaluate both prompt formats on the dev split and name the better."""
    from rich.console import Console

    from benchmark.pipeline import DataRequest, RunRequest
    from benchmark.pipeline.comparison import better_format, compare
    from benchmark.pipeline.model_store import ModelStore
    from benchmark.report.progress import RunProgress

    with RunProgress(Console(stderr=True)) as progress:
        completion, chat = (
            ModelStore(store, progress).measure(
                RunRequest(
                    model=model,
                    out=store,
                    data=DataRequest(seed=seed, states=states, split="dev"),
                    prompt_format=name,
                    device=device,
                    dtype=dtype,
                    batch_size=batch_size,
                )
            )
            for name in ("completion", "chat")
        )
    comparison = compare(completion, chat)
    name, sure = better_format(comparison)
    certainty = "" if sure else ", though by no more than chance might give"
    words = f"better on the dev split: {name}{certainty}"
    title = f"{Path(model).name}, dev split: completion -> chat"
    more: dict[str, object] = {"better": name, "significant": sure}
    show(title, ("completion", "chat"), comparison, words, more, as_json=as_json)
