"""What a run of registered models would take on given GPUs, from their configurations alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from benchmark.errors import ModelError
from benchmark.models.hardware import gpus
from benchmark.models.registry import Pair, RegisteredModel, Registry
from benchmark.planning.architectures import configuration
from benchmark.planning.memory import Memory, Use, fitting_use, gpus_needed, memory
from benchmark.planning.planning import GpuSpec, planning
from benchmark.planning.schedule import Job, Slot, schedule
from benchmark.planning.shape import ModelShape, shape
from benchmark.planning.time_estimate import (
    Seconds,
    decoding_seconds,
    drafted_seconds,
    loading_seconds,
    plain_decoding,
)


@dataclass(frozen=True, slots=True)
class Machine:
    """The GPUs there are, all alike: how many, with how many bytes each, and their speed."""

    name: str
    gpu: GpuSpec
    count: int
    memory: int


def machine(name: str, count: int | None = None, vram_gb: float | None = None) -> Machine:
    """GPUs of that name; count and memory are what is asked for, else what torch sees, else one.

    Args:
        name: one of ``planning.toml``, whose speed is taken.
        count: how many.
        vram_gb: the memory of each in 10^9 bytes.

    Raises:
        SettingError: when its figures are not in the data.
    """
    gpu = planning().gpu(name)
    there = gpus() if count is None and vram_gb is None else ()
    return Machine(
        name,
        gpu,
        count or len(there) or 1,
        int(vram_gb * 1e9) if vram_gb else min((g.memory for g in there), default=gpu.memory),
    )


@dataclass(frozen=True, slots=True)
class Wanted:
    """How models are to be run: dtype where they are not quantized, rows and new tokens."""

    dtype: str
    batch_size: int
    new_tokens: int
    quantize: bool = True


@dataclass(frozen=True, slots=True)
class ModelForecast:
    """What one model takes.

    ``gpus`` is None when no number of such GPUs holds it, ``batch_size`` what fits into those
    there are, halved from what was wanted as the engine does when memory runs out.
    ``decoding`` is the default engine's time, ``plain`` that of a pass a token.
    """

    model: RegisteredModel
    dtype: str
    parameters: int
    batch_size: int
    memory: Memory
    gpus: int | None
    fits: bool
    decoding: Seconds
    plain: Seconds
    loading: float

    @property
    def seconds(self) -> float:
        """About how long it takes with loading."""
        return self.loading + self.decoding.about

    @property
    def plain_seconds(self) -> float:
        """The same with a pass a token."""
        return self.loading + self.plain.about


@dataclass(frozen=True, slots=True)
class PairForecast:
    """Whether both models of a pair fit, and why not."""

    pair: Pair
    reasons: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.reasons


@dataclass(frozen=True, slots=True)
class Unplanned:
    """A model of which no forecast can be made, and why not."""

    model: RegisteredModel
    reason: str


@dataclass(frozen=True, slots=True)
class RunPlan:
    """Every model, every pair, and in which order those that fit would run."""

    machine: Machine
    models: tuple[ModelForecast, ...]
    pairs: tuple[PairForecast, ...]
    slots: tuple[Slot, ...]
    unplanned: tuple[Unplanned, ...] = ()

    @property
    def unpinned(self) -> tuple[str, ...]:
        """The keys of models of the hub that no commit of their repository is pinned for."""
        models = [each.model for each in self.models] + [each.model for each in self.unplanned]
        return tuple(m.key for m in models if not (m.revision or m.is_local))


def plan(
    known: Registry,
    pairs: Sequence[Pair],
    groups: Mapping[str, str],
    machine: Machine,
    how: Wanted,
    *,
    others: Sequence[str] = (),
) -> RunPlan:
    """The forecast of all models of the pairs, and of others.

    Args:
        known: where the models are.
        pairs: those to be measured.
        groups: for each pair the name of its group, whose models run one after the other.
        machine: what they run on.
        how: what they run with.
        others: keys of models that are in none of the pairs.
    """
    group = {key: groups[pair.id] for pair in pairs for key in (pair.base, pair.variant)}
    group |= {key: key for key in others}
    models: dict[str, ModelForecast] = {}
    unplanned: dict[str, Unplanned] = {}
    for model in map(known.model, group):
        try:
            models[model.key] = forecast(model, machine, how)
        except ModelError as error:
            unplanned[model.key] = Unplanned(model, str(error))
    jobs = [Job(k, group[k], m.gpus or 0, m.seconds) for k, m in models.items() if m.fits]
    return RunPlan(
        machine,
        tuple(models.values()),
        tuple(PairForecast(pair, _reasons(pair, models)) for pair in pairs),
        tuple(schedule(jobs, machine.count)),
        tuple(unplanned.values()),
    )


def forecast(model: RegisteredModel, machine: Machine, how: Wanted) -> ModelForecast:
    """What one model takes, with the largest batch up to the wanted one that fits.

    Raises:
        ModelError: when its configuration is neither in the data nor to be had, or is of an
            architecture whose size cannot be counted.
    """
    dtype = (model.quantization if how.quantize else None) or how.dtype
    size = _shape(model.huggingface_id)
    asked = Use(how.batch_size, planning().workload.longest_prompt_tokens, how.new_tokens)
    fitting = fitting_use(size, dtype, asked, machine.memory, machine.count)
    use = fitting or asked
    needs = memory(size, dtype, use)
    data = planning()
    work = data.workload
    plain = plain_decoding(work, use.batch_size)
    drafted = work.with_drafts(use.batch_size)
    return ModelForecast(
        model=model,
        dtype=dtype,
        parameters=size.parameters,
        batch_size=use.batch_size,
        memory=needs,
        gpus=gpus_needed(needs, machine.memory),
        fits=fitting is not None,
        decoding=drafted_seconds(size, dtype, machine.gpu, work, drafted, data.assumptions),
        plain=decoding_seconds(size, dtype, machine.gpu, work.states, plain, data.assumptions),
        loading=loading_seconds(size, dtype, data.assumptions),
    )


@cache
def _shape(huggingface_id: str) -> ModelShape:
    return shape(configuration(huggingface_id))


def _reasons(pair: Pair, models: Mapping[str, ModelForecast]) -> tuple[str, ...]:
    keys = (pair.base, pair.variant)
    return tuple(_reason(k, models.get(k)) for k in keys if k not in models or not models[k].fits)


def _reason(key: str, model: ModelForecast | None) -> str:
    if model is None:
        return f"{key}: size unknown"
    if model.gpus is None:
        return f"{model.model.key}: its batch alone is more than a GPU holds"
    return f"{model.model.key}: takes {model.gpus} GPUs"
