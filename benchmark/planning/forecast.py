"""Forecast the memory and time of a run of registered models on GPUs, from configurations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from benchmark.errors import ModelError
from benchmark.models.gpus import gpus
from benchmark.models.registry_types import Pair, RegisteredModel, Registry
from benchmark.planning.architectures import (
    Architecture,
    architecture_in_data,
    configuration,
)
from benchmark.planning.memory import (
    DecodingBatch,
    Memory,
    best_fit,
    memory,
)
from benchmark.planning.planning import GpuSpec, pass_tokens, planning
from benchmark.planning.schedule import Job, Slot, schedule
from benchmark.planning.shape import ModelShape, shape
from benchmark.planning.time_estimate import (
    TimeEstimate,
    decoding_seconds,
    drafted_seconds,
    loading_seconds,
    plain_decoding,
)


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine with identical GPUs: their number, memory in bytes and published speed.

    ``nodes`` is the number of such machines; a model runs on one of them.
    """

    name: str
    gpu: GpuSpec
    count: int
    memory: int
    nodes: int = 1


def machine(
    name: str, count: int | None = None, vram_gb: float | None = None, nodes: int = 1
) -> Machine:
    """Return a machine with GPUs of that name.

    Without ``count`` and ``vram_gb`` it has the GPUs that torch sees, or one if it sees none.

    Args:
        name: a GPU of ``planning.toml``, whose speed is used.
        count: the number of GPUs.
        vram_gb: the memory of each GPU in 10^9 bytes.
        nodes: the number of such machines.

    Raises:
        SettingError: if the GPU is not in the data.
    """
    gpu = planning().gpu(name)
    visible = gpus() if count is None and vram_gb is None else ()
    return Machine(
        name,
        gpu,
        count or len(visible) or 1,
        int(vram_gb * 1e9) if vram_gb else min((g.memory for g in visible), default=gpu.memory),
        nodes,
    )


@dataclass(frozen=True, slots=True)
class ForecastOptions:
    """How models are run: dtype or ``8bit``, batch size, and new tokens.

    ``drafts`` is whether the default engine runs them, and not one pass per token.
    """

    dtype: str
    batch_size: int
    new_tokens: int
    drafts: bool = True


@dataclass(frozen=True, slots=True)
class ModelForecast:
    """The memory and time of one model.

    ``gpus`` is None if no number of such GPUs holds it. ``batch_size`` is the largest that fits
    these GPUs, found by halving the requested one as the engine does when memory runs out; no GPU
    is added for more than 8 rows.
    ``decoding`` is the time of the default engine, ``plain`` that of one pass per token, and
    ``loading`` is in seconds.
    """

    model: RegisteredModel
    dtype: str
    parameters: int
    batch_size: int
    memory: Memory
    gpus: int | None
    fits: bool
    decoding: TimeEstimate
    plain: TimeEstimate
    loading: float

    @property
    def seconds(self) -> float:
        """The expected time including loading."""
        return self.loading + self.decoding.expected

    @property
    def plain_seconds(self) -> float:
        """The expected time including loading, with one pass per token."""
        return self.loading + self.plain.expected


@dataclass(frozen=True, slots=True)
class PairForecast:
    """Whether both models of a pair fit, and the reasons if they do not."""

    pair: Pair
    reasons: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether both models fit."""
        return not self.reasons


@dataclass(frozen=True, slots=True)
class Unplanned:
    """A model without a forecast, and the reason."""

    model: RegisteredModel
    reason: str


@dataclass(frozen=True, slots=True)
class RunPlan:
    """The forecasts of all models and pairs, and the schedule of the models that fit."""

    machine: Machine
    models: tuple[ModelForecast, ...]
    pairs: tuple[PairForecast, ...]
    slots: tuple[Slot, ...]
    unplanned: tuple[Unplanned, ...] = ()

    @property
    def unpinned(self) -> tuple[str, ...]:
        """The keys of hub models that are not pinned to a commit."""
        models = [m.model for m in self.models] + [m.model for m in self.unplanned]
        return tuple(m.key for m in models if not (m.revision or m.is_local))


def plan(
    registry: Registry,
    pairs: Sequence[Pair],
    machine: Machine,
    options: ForecastOptions,
    *,
    others: Sequence[str] = (),
) -> RunPlan:
    """Forecast all models of the pairs, and others.

    ``others`` are keys of models that are not in the pairs.
    """
    keys = dict.fromkeys(key for pair in pairs for key in (pair.base, pair.variant))
    models: dict[str, ModelForecast] = {}
    unplanned: dict[str, Unplanned] = {}
    for model in map(registry.model, dict.fromkeys([*keys, *others])):
        try:
            models[model.key] = forecast(model, machine, options)
        except ModelError as error:
            unplanned[model.key] = Unplanned(model, str(error))
    jobs = [Job(k, m.gpus or 0, m.seconds) for k, m in models.items() if m.fits]
    return RunPlan(
        machine,
        tuple(models.values()),
        tuple(PairForecast(pair, _reasons(pair, models)) for pair in pairs),
        tuple(schedule(jobs, machine.count, machine.nodes)),
        tuple(unplanned.values()),
    )


def forecast(model: RegisteredModel, machine: Machine, options: ForecastOptions) -> ModelForecast:
    """Forecast one model with the largest batch that fits, up to the requested batch size.

    Raises:
        ModelError: if its configuration is unavailable, or has an architecture whose size cannot
            be counted.
    """
    data = planning()
    work = data.workload
    dtype, size = options.dtype, shape_of(model.huggingface_id)
    requested = requested_batch(options)
    fit = best_fit(size, dtype, requested, [machine.memory] * machine.count)
    # Of one that does not fit: on as many such GPUs as it has layers, which is the most.
    wished = fit or best_fit(size, dtype, requested, [machine.memory] * size.layers)
    batch = wished.batch if wished else requested
    one_by_one = plain_decoding(work, batch.batch_size)
    plain = decoding_seconds(size, dtype, machine.gpu, work.states, one_by_one, data.assumptions)
    drafted = work.with_drafts(batch.batch_size)
    return ModelForecast(
        model=model,
        dtype=dtype,
        parameters=size.parameters,
        batch_size=batch.batch_size,
        memory=memory(size, dtype, batch),
        gpus=wished.gpus if wished else None,
        fits=fit is not None,
        decoding=drafted_seconds(size, dtype, machine.gpu, work, drafted, data.assumptions)
        if options.drafts
        else plain,
        plain=plain,
        loading=loading_seconds(size, dtype, data.assumptions),
    )


def requested_batch(options: ForecastOptions) -> DecodingBatch:
    """Return the batch that is tried first, with the longest prompt of the workload."""
    work = planning().workload
    batch = DecodingBatch(options.batch_size, work.longest_prompt_tokens, options.new_tokens)
    if not options.drafts:
        return batch
    return replace(batch, shared_tokens=work.shared_tokens, pass_tokens=pass_tokens())


@cache  # several models share an architecture
def _shape_of(architecture: Architecture) -> ModelShape:
    return shape(architecture.configuration())


@cache
def shape_of(huggingface_id: str) -> ModelShape:
    """Return the shape of a model, from the data if that has it, else from its configuration.

    Raises:
        ModelError: as :func:`forecast`.
    """
    architecture = architecture_in_data(huggingface_id)
    return _shape_of(architecture) if architecture else shape(configuration(huggingface_id))


def _reasons(pair: Pair, models: Mapping[str, ModelForecast]) -> tuple[str, ...]:
    keys = (pair.base, pair.variant)
    return tuple(_reason(k, models.get(k)) for k in keys if k not in models or not models[k].fits)


def _reason(key: str, model: ModelForecast | None) -> str:
    if model is None:
        return f"{key}: size unknown"
    if model.gpus is None:
        return f"{model.model.key}: its batch alone does not fit on a GPU"
    return f"{model.model.key}: needs {model.gpus} GPUs"
