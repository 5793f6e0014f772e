"""``reproduce``: measure the models of many pairs, on this machine or on several."""

import os
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.bundles import data_options, output_options, settings_options
from benchmark.cli.detect import Margin, margin_share
from benchmark.cli.options import ModelStoreFolder, RegistryFile, flag, option
from benchmark.cli.plan import OfExperiment, PapersPairs, Vram
from benchmark.cli.writing import Output
from benchmark.reproduction.settings import SETTINGS_OF_PAIRS

if TYPE_CHECKING:
    from benchmark.reproduction.cluster import ModelJob
    from benchmark.reproduction.run import ReproductionRequest
    from benchmark.reproduction.view import ReproductionView
    from benchmark.runs.progress import RunProgress
    from benchmark.runs.requests import DataRequest
    from benchmark.runs.settings import Settings

FAILED = 1
"""The exit code if a model failed with an error, or a pair does not hold."""

Only = Annotated[
    str | None, option("Pairs by words with and, or, not, as pytest -k.", metavar="EXPRESSION")
]
ShardText = Annotated[
    str | None,
    option("One of N parts of the models; slurm/N: by SLURM_ARRAY_TASK_ID.", metavar="I/N"),
]
RayAddress = Annotated[
    str | None,
    option("Measure on a Ray cluster: its address, auto or local.", "--ray", metavar="ADDRESS"),
]
Retries = Annotated[
    int, option("Tries of a model after its node is lost, with --ray.", least=0, most=100)
]
DryRun = Annotated[bool, flag("--dry-run", text="Only say which models would be measured.")]
RequireAll = Annotated[bool, flag("--require-all", text="Exit with 1 also if a model is skipped.")]


@output_options()
@data_options()
@settings_options(*SETTINGS_OF_PAIRS, "device", "quantization")
def reproduce(
    only: Only = None,
    experiment: OfExperiment = None,
    registry_file: RegistryFile = None,
    store: ModelStoreFolder = Path("runs/store"),
    shard: ShardText = None,
    ray: RayAddress = None,
    retries: Retries = 2,
    vram: Vram = None,
    margin: Margin = None,
    *,
    paper: PapersPairs = False,
    require_all: RequireAll = False,
    dry_run: DryRun = False,
    data: "DataRequest",
    settings: "Settings",
    output: Output,
) -> None:
    """Measure the models of all pairs into a store, and judge the pairs; rerun to resume.

    The device is all GPUs unless --device names another. Models that are unavailable or too large
    are skipped with the reason. With --shard the pairs are judged by merge. --vram is for nodes of
    a cluster whose GPUs torch does not see, such as pretended ones.
    """
    from benchmark.models.registry import load_registry
    from benchmark.reproduction.run import ReproductionRequest, reproduce
    from benchmark.reproduction.selection import selected_pairs
    from benchmark.reproduction.shards import Shard
    from benchmark.reproduction.summary import summary_lines
    from benchmark.runs.requests import RunRequest
    from benchmark.stats.constants import CLOSE_MARGIN

    registry = load_registry(registry_file)
    pairs = selected_pairs(registry, only, experiment, paper=paper)
    device = "cuda" if settings.device == "auto" else settings.device
    where = data if data.path is None else replace(data, path=data.path.absolute())
    run = RunRequest.of(replace(settings, device=device), data=where, out=store)
    request = ReproductionRequest(
        registry,
        pairs,
        run,
        shard=Shard.parse(shard, os.environ) if shard else None,
        ray=ray,
        memory=int(vram * 1e9) if vram else None,
        retries=retries,
        margin=margin_share(margin, CLOSE_MARGIN),
    )
    jobs = request.jobs()
    if dry_run:
        _show_jobs(jobs, output)
        return
    with _view(request, len(jobs), output) as view:
        reproduction = reproduce(request, jobs, view, lambda: _progress(output))
    if not output.as_json:
        lines = [*summary_lines(reproduction.models, reproduction.pairs)]
        if request.shard:
            words = _merge_words(store, only, experiment, registry_file, paper=paper)
            lines.append(f"shard {request.shard.words}; judge all pairs with: {words}")
        print("\n".join(lines))
    output.result({"shard": request.shard and request.shard.words, **reproduction.as_json()})
    if reproduction.failed or (require_all and reproduction.skipped):
        raise typer.Exit(FAILED)


def _merge_words(
    store: Path, only: str | None, experiment: str | None, registry: Path | None, *, paper: bool
) -> str:
    """Return the command that judges the pairs of all shards, which the same options select."""
    named = {"--only": only, "--experiment": experiment, "--registry": registry}
    options = [str(word) for name, value in named.items() if value for word in (name, value)]
    papers = ["--paper"] * paper
    return shlex.join(["merge", str(store), "--out", str(store), *papers, *options])


def _progress(output: Output) -> "RunProgress":
    """Return the progress of one model that is measured in this process."""
    from benchmark.runs.progress import RunProgress
    from benchmark.terminal import console

    return RunProgress(console(stderr=True, quiet=output.quiet), named=True)


def _view(request: "ReproductionRequest", models: int, output: Output) -> "ReproductionView":
    """Return the view of all models; one that is measured here shows itself how far it is."""
    from benchmark.reproduction.view import ReproductionView
    from benchmark.terminal import console

    bars = request.ray is not None
    return ReproductionView(console(stderr=True, quiet=output.quiet), models, bars=bars)


def _show_jobs(jobs: "Sequence[ModelJob]", output: Output) -> None:
    """Print the models in the order in which they start, with the planned time of each."""
    from benchmark.planning.tables import duration

    if not output.as_json:
        for job in jobs:
            print(f"{job.name:<32} about {duration(job.seconds)}")
        total = duration(sum(job.seconds for job in jobs))
        print(f"{len(jobs)} models, about {total} one after the other on an H100")
    output.result({"models": {job.name: {"seconds": job.seconds} for job in jobs}})
