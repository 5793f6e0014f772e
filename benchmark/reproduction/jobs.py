"""The models of a reproduction as jobs: in which order, how long, and on how many GPUs."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from math import ceil

from benchmark.decoding.engines import ENGINES
from benchmark.decoding.protocols import protocol
from benchmark.errors import ModelError
from benchmark.models.registry_types import Pair, RegisteredModel, Registry
from benchmark.planning.architectures import architecture_in_data
from benchmark.planning.forecast import (
    ForecastOptions,
    forecast,
    machine,
    requested_batch,
    shape_of,
)
from benchmark.planning.memory import best_fit
from benchmark.planning.planning import planning
from benchmark.reproduction.cluster import ModelJob
from benchmark.runs.requests import RunRequest, as_registered

_REFERENCE = "H100-80GB-SXM"
"""The GPU of ``planning.toml`` by which models are ordered."""

_MANY = 1000
"""More GPUs than a machine has."""

_BYTES, _SHARE = 2, 2 / 3
"""Of a model whose shape is unknown: bytes per parameter, and their share of a GPU's memory."""

_USUAL_BILLIONS = 7.0
"""The parameters, in 10^9, by which the time of a model of unknown size is planned."""


def jobs_of(registry: Registry, pairs: Iterable[Pair], request: RunRequest) -> list[ModelJob]:
    """Return the models of the pairs as jobs, those of most GPUs first, then the longest.

    Order and times follow from the registry and the data of the package alone, for the same GPUs
    on every machine, so that all shards of a reproduction agree on them. The files of a local
    model, which one machine may have and another lack, decide nothing: see :func:`_planned`.

    Args:
        registry: the models and pairs.
        pairs: the pairs that are reproduced.
        request: the settings and data, with an empty model.
    """
    keys = dict.fromkeys(key for pair in pairs for key in (pair.base, pair.variant))
    planned = [_planned(registry.model(key), request) for key in keys]
    return [job for *_, job in sorted(planned, key=lambda row: (-row[0], -row[1], row[2].name))]


def _planned(model: RegisteredModel, request: RunRequest) -> tuple[int, float, ModelJob]:
    """Return a model's GPUs and seconds as planned, and its job.

    A model whose architecture is in the data is forecast. Any other, local or of the hub, is
    planned by the size in the registry: the time to read its weights in 16 bit from a disk, for
    7B if the registry has no number.
    """
    own = as_registered(model, request)
    options = forecast_options(own)
    if architecture_in_data(model.huggingface_id):
        planned = forecast(model, machine(_REFERENCE, _MANY), options)
        slots = SlotsNeeded(model, options)
        return planned.gpus or _MANY, planned.seconds, ModelJob(model, own, planned.seconds, slots)
    billions = model.billions or _USUAL_BILLIONS
    seconds = _BYTES * billions * 1e9 / planning().assumptions.disk_bytes_per_second
    slots_by_size = SlotsBySize(model.billions)
    width = slots_by_size(_MANY, machine(_REFERENCE, 1).memory) or _MANY
    return width, seconds, ModelJob(model, own, seconds, _slots(model, options) or slots_by_size)


def _slots(model: RegisteredModel, options: ForecastOptions) -> "SlotsNeeded | None":
    """Return the slots of a local model by its own configuration, if it is here and can be read.

    They are asked for by the process that distributes models, and change no shard.
    """
    if not model.is_local:
        return None
    try:
        shape_of(model.huggingface_id)
    except ModelError:
        return None
    return SlotsNeeded(model, options)


def forecast_options(request: RunRequest) -> ForecastOptions:
    """Return what a request means for the forecast on GPUs: dtype, batch size and engine."""
    named = protocol(request.protocol)
    quantized = request.entry.quantization if request.entry and named.paper_quantization else None
    quantization = request.quantization or quantized
    used = named.with_weights_in(quantization)
    limits = used.limits.changed(request.batch_size, request.max_new_tokens)
    return ForecastOptions(
        dtype=quantization or request.dtype or used.dtype("cuda"),
        batch_size=limits.batch_size,
        new_tokens=limits.max_new_tokens,
        drafts=ENGINES[request.engine or used.engine].packed,
    )


@cache  # asked for each node whenever one of its models ends
def _gpus_needed(name: str, options: ForecastOptions, count: int, memory: int) -> int | None:
    """Return the fewest of ``count`` GPUs that hold a model, None if they do not."""
    fit = best_fit(shape_of(name), options.dtype, requested_batch(options), [memory] * count)
    return fit.gpus if fit else None


@dataclass(frozen=True, slots=True)
class SlotsNeeded:
    """The slots of a model whose size is known: the fewest GPUs that hold it."""

    model: RegisteredModel
    options: ForecastOptions

    def __call__(self, slots: int, memory: int | None) -> int | None:
        """Return the GPUs of this memory in bytes that the model takes, None if they are too few.

        One slot of a node without GPUs, or whose memory is unknown.
        """
        if memory is None:
            return 1
        return _gpus_needed(self.model.huggingface_id, self.options, slots, memory)


@dataclass(frozen=True, slots=True)
class SlotsBySize:
    """The slots of a model of which only the number of parameters is known, in 10^9."""

    billions: float

    def __call__(self, slots: int, memory: int | None) -> int | None:
        """Return the GPUs that hold its weights in 16 bit with a third of the memory to spare.

        Without a number these are all GPUs of a node.
        """
        if memory is None:
            return 1
        count = ceil(_BYTES * self.billions * 1e9 / (_SHARE * memory)) if self.billions else slots
        return count if count <= slots else None
