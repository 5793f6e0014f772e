"""Carry out a reproduction: models on this machine or a cluster, then the verdicts on pairs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import SettingError
from benchmark.models.loading import resolve_device
from benchmark.models.registry_types import Pair, Registry
from benchmark.reproduction.cluster import Cluster, Measured, ModelJob, NotMeasured
from benchmark.reproduction.jobs import jobs_of
from benchmark.reproduction.ray_cluster import RayOptions, connected
from benchmark.reproduction.scheduling import RETRIES, Outcome, View, run_jobs
from benchmark.reproduction.shards import Shard, shard_of
from benchmark.reproduction.summary import models_as_json, pairs_as_json
from benchmark.reproduction.this_machine import ThisMachine
from benchmark.reproduction.verdicts import PairOutcome, PairReport, judge_stored
from benchmark.runs.model_store import ModelStore
from benchmark.runs.placement import placement
from benchmark.runs.requests import Progress, Quiet, RunRequest
from benchmark.stats.constants import CLOSE_MARGIN


@dataclass(frozen=True, slots=True)
class ReproductionRequest:
    """A reproduction.

    Attributes:
        registry: the models and pairs.
        pairs: the pairs to reproduce.
        run: settings and data, with an empty model; ``out`` is the store.
        shard: the part of the models to measure; None for all.
        ray: the address of a Ray cluster; None for this machine.
        memory: the memory of a GPU of the cluster in bytes, if nodes cannot say.
        retries: how often a model is tried again after its node was lost.
        margin: the largest departure (0..1) from a published difference that counts as none.
    """

    registry: Registry
    pairs: Sequence[Pair]
    run: RunRequest
    shard: Shard | None = None
    ray: str | None = None
    memory: int | None = None
    retries: int = RETRIES
    margin: float = CLOSE_MARGIN

    def jobs(self) -> list[ModelJob]:
        """Return the models to measure, in order."""
        jobs = jobs_of(self.registry, self.pairs, self.run)
        return shard_of(jobs, self.shard) if self.shard else jobs


@dataclass(frozen=True, slots=True)
class Reproduction:
    """The outcome of each model by its key, and of each pair.

    With shards only those pairs are judged whose models are both in this shard.
    """

    models: Mapping[str, Outcome]
    pairs: Sequence[PairOutcome]

    @property
    def failed(self) -> bool:
        """Whether a model failed with an error, or a pair has a problem."""
        models = (o for o in self.models.values() if isinstance(o, NotMeasured) and not o.skipped)
        return any(models) or any(isinstance(p, PairReport) and p.problems for p in self.pairs)

    @property
    def skipped(self) -> bool:
        """Whether a model was unavailable or too large."""
        return any(isinstance(o, NotMeasured) and o.skipped for o in self.models.values())

    def as_json(self) -> dict[str, object]:
        """Return models and pairs by their keys."""
        return {"models": models_as_json(self.models), "pairs": pairs_as_json(self.pairs)}


OpenProgress = Callable[[], AbstractContextManager[Progress]]
"""Opens the progress of one model that is measured in this process."""


def reproduce(
    request: ReproductionRequest, jobs: Sequence[ModelJob], view: View, progress: OpenProgress
) -> Reproduction:
    """Measure the models that are not in the store yet, and judge the pairs.

    Args:
        request: the reproduction.
        jobs: its models, as :meth:`ReproductionRequest.jobs`.
        view: shows which models start and end.
        progress: opens the progress of a model on this machine.

    Raises:
        SettingError: if the device does not exist here, or there is no such cluster.
        MissingLibraryError: if Ray is needed and not installed.
    """
    with _cluster(request, view, progress) as cluster:
        outcomes = run_jobs(jobs, cluster, view, retries=request.retries)
    return Reproduction(outcomes, _judged(request, outcomes))


@contextmanager
def _cluster(request: ReproductionRequest, view: View, progress: OpenProgress) -> Iterator[Cluster]:
    store, device = request.run.out, request.run.device
    if request.ray is None:
        placed = placement(resolve_device(device), None, 1)
        yield ThisMachine(ModelStore(store, Quiet(), placed), progress)
        return
    if device not in {"cpu", "cuda"}:
        raise SettingError(f"--ray: Ray chooses the GPUs; leave out --device {device}")
    options = RayOptions(cpu=device == "cpu", memory=request.memory)
    with connected(request.ray, store, view, options) as cluster:
        yield cluster


def _judged(request: ReproductionRequest, outcomes: Mapping[str, Outcome]) -> list[PairOutcome]:
    folders: dict[str, Path | str] = {
        name: outcome.folder if isinstance(outcome, Measured) else outcome.reason
        for name, outcome in outcomes.items()
    }
    pairs = judge_stored(request.pairs, folders, request.margin)
    if request.shard is None:
        return pairs
    own = (pair for pair in pairs if {pair.pair.base, pair.pair.variant} <= outcomes.keys())
    return [*own]
