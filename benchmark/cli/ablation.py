"""``ablation``: what the constraint is worth (the paper's unconstrained decoding)."""

from pathlib import Path

from benchmark.cli.comparisons import show
from benchmark.cli.options import (
    BatchSize,
    DataFile,
    DataSeed,
    Device,
    Dtype,
    Json,
    Model,
    ModelStoreFolder,
    Password,
    PromptFormat,
    States,
)


def ablation(
    model: Model,
    store: ModelStoreFolder = Path("runs/store"),
    data: DataFile = None,
    password: Password = None,
    states: States = None,
    seed: DataSeed = None,
    prompt_format: PromptFormat = "completion",
    device: Device = "auto",
    dtype: Dtype = None,
    batch_size: BatchSize = None,
    *,
    as_json: Json = False,
) -> None:
    """Measure a model without the constraint and with it, and compare."""
    from rich.console import Console

    from benchmark.pipeline import DataRequest, RunRequest
    from benchmark.pipeline.comparison import broken_answers, compare
    from benchmark.pipeline.model_store import ModelStore
    from benchmark.report.progress import RunProgress

    with RunProgress(Console(stderr=True)) as progress:
        free, constrained = (
            ModelStore(store, progress).measure(
                RunRequest(
                    model=model,
                    out=store,
                    data=DataRequest(data, password, seed, states),
                    engine=engine,
                    prompt_format=prompt_format,
                    device=device,
                    dtype=dtype,
                    batch_size=batch_size,
                )
            )
            for engine in ("unconstrained", None)
        )
    broken, total = broken_answers(free), len(free.texts)
    words = f"unconstrained answers that break the format: {broken}/{total}"
    more: dict[str, object] = {"broken_answers": {"broken": broken, "total": total}}
    names = ("free", "constrained")
    title = f"{Path(model).name}: unconstrained -> constrained"
    show(title, names, compare(free, constrained), words, more, as_json=as_json)
