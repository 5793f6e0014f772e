"""Fetch models of the hub before they are measured; what cannot be is known before anything large.

For each model its configuration and tokenizer are fetched and loaded, its weights are listed, and
its memory is compared with that of the GPUs. Only then are weights fetched. A GGUF file has all
three: what is known before it is fetched is its size, and the memory that its weights take at
least.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from benchmark.errors import DoesNotFitError, ModelError, UnavailableModelError
from benchmark.models.hub_download import WeightFiles, free_space, has_weights, list_weights
from benchmark.models.location import (
    Location,
    fetch_missing_weights,
    hub_model,
    locate,
    locate_without_weights,
)
from benchmark.models.registry_types import RegisteredModel, Registry
from benchmark.models.tokenizer_loading import load_tokenizer
from benchmark.planning.architectures import configuration
from benchmark.planning.forecast import ForecastOptions, Machine, requested_batch
from benchmark.planning.memory import best_fit, element_bytes
from benchmark.planning.planning import planning
from benchmark.planning.shape import shape
from benchmark.runs.gpu_fit import gpus_of

_GB = 1e9


class WantedModel(NamedTuple):
    """A model to fetch.

    Attributes:
        name: the name for people.
        huggingface_id: its repository.
        revision: the commit that it is pinned to.
        tokenizer: the repository of its tokenizer if its own has none.
    """

    name: str
    huggingface_id: str
    revision: str | None = None
    tokenizer: str = ""


_NO_FILES = WeightFiles((), 0, 0)


@dataclass(frozen=True, slots=True)
class FoundModel:
    """What is known of a model before its weights: where it is and its bytes, or why it is not.

    ``reason`` says why its weights are not fetched; a model with one may have no location.
    """

    model: WantedModel
    location: Location | None = None
    files: WeightFiles = _NO_FILES
    reason: str = ""

    @property
    def missing(self) -> int:
        """The bytes that are to be fetched."""
        return 0 if self.reason else self.files.missing


def wanted_models(
    registry: Registry, names: Sequence[str], experiment: str | None, *, every: bool
) -> list[WantedModel]:
    """Return the models of these names, those of an experiment's pairs, or all of the registry.

    A name is a key of the registry or an identifier of the hub.
    """
    pairs = [pair for pair in registry.pairs.values() if pair.experiment == experiment]
    keys = registry.models if every else [k for pair in pairs for k in (pair.base, pair.variant)]
    models = [_registered(registry.model(key)) for key in dict.fromkeys(keys)]
    for name in names:
        entry = registry.find(name)
        models.append(_registered(entry) if entry else WantedModel(name, name))
    return list(dict.fromkeys(models))


def _registered(model: RegisteredModel) -> WantedModel:
    return WantedModel(model.key, model.huggingface_id, model.revision or None, model.tokenizer)


def find_model(model: WantedModel, machine: Machine | None, options: ForecastOptions) -> FoundModel:
    """Fetch a model's configuration and tokenizer, and return what its weights take.

    Without a machine its memory is not considered.
    """
    try:
        location = locate_without_weights(model.huggingface_id, model.revision)
        files = _files(location)
        if location.gguf and files.missing:
            if machine:
                _check_least_memory(files.total, machine, options)
            return FoundModel(model, location, files)
        location = locate(
            model.huggingface_id, model.revision, weights=False, tokenizer=model.tokenizer
        )
        load_tokenizer(location)
        if machine:
            _check_memory(location, machine, options)
    except ModelError as error:
        reason = str(error).removeprefix(f"{model.huggingface_id}: ")
        return FoundModel(model, reason=reason)
    return FoundModel(model, location, files)


def _files(location: Location) -> WeightFiles:
    if not location.on_hub:
        return _NO_FILES
    if has_weights(location.folder, location.gguf):  # also offline
        sizes = {path.name: path.stat().st_size for path in location.weights}
        return WeightFiles(tuple(sizes), sum(sizes.values()), 0)
    return list_weights(hub_model(location))


def _check_least_memory(size: int, machine: Machine, options: ForecastOptions) -> None:
    """Check that the GPUs hold the weights of a GGUF file of this size.

    It has at most four bytes for each of them.
    """
    if size // 4 * element_bytes(options.dtype) > machine.memory * machine.count:
        raise DoesNotFitError(f"does not fit on {gpus_of(machine.count, machine.memory)}")


def _check_memory(location: Location, machine: Machine, options: ForecastOptions) -> None:
    try:
        size = shape(configuration(str(location.folder / (location.gguf or ""))))
    except ModelError:  # its size cannot be counted
        return
    memory = [machine.memory] * machine.count
    if best_fit(size, options.dtype, requested_batch(options), memory) is None:
        raise DoesNotFitError(f"does not fit on {gpus_of(machine.count, machine.memory)}")


def check_total(models: Sequence[FoundModel]) -> None:
    """Check that the disk has room for everything that is missing.

    Raises:
        DoesNotFitError: naming the folder, and what fits.
    """
    folder, free = free_space()
    missing = sum(model.missing for model in models)
    if missing > free:
        raise DoesNotFitError(
            f"{missing / _GB:.1f} GB are missing, and {free / _GB:.1f} GB are free in {folder}; "
            "name fewer models, or set HF_HOME to a folder with more space"
        )


def fetch_models(
    models: Sequence[FoundModel],
    say: Callable[[str], None],
    look: Callable[[WantedModel], FoundModel],
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[tuple[FoundModel, str]]:
    """Fetch the weights of each model, and yield it with the reason if that failed, else "".

    After each model the time left is said, by the rate so far. ``look`` returns what is known of a
    GGUF file once it is here.
    """
    started, fetched = clock(), 0
    total = sum(model.missing for model in models)
    for model in models:
        if model.reason or model.location is None:
            yield model, model.reason
            continue
        try:
            fetch_missing_weights(model.location, say)
        except ModelError as error:
            yield model, str(error)
            continue
        fetched += model.missing
        if model.missing and fetched < total:
            rate = fetched / max(clock() - started, 1e-9)
            say(f"{model.model.name} is here; {_left(total - fetched, rate)}")
        yield model, look(model.model).reason if model.location.gguf else ""


def expected_time(missing: int) -> str:
    """Return the time that this many bytes take at the assumed rate, in words."""
    if not missing:
        return "nothing is missing"
    return f"expected: {_left(missing, planning().assumptions.hub_bytes_per_second)} (assumed)"


def _left(missing: int, rate: float) -> str:
    from benchmark.planning.tables import duration

    return f"about {duration(missing / rate)} left at {rate / 1e6:.0f} MB per second"


def check_complete(reasons: Sequence[tuple[FoundModel, str]]) -> None:
    """Check that every model was fetched.

    Raises:
        UnavailableModelError: with the names and the first reason, if one was not.
    """
    failed = [(model, reason) for model, reason in reasons if reason]
    if failed:
        names = ", ".join(model.model.name for model, _ in failed)
        raise UnavailableModelError(
            f"{len(failed)} of {len(reasons)} models are not fetched: {names}: {failed[0][1]}"
        )
