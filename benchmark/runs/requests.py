"""What is asked of a run, and how it shows where it is."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from benchmark.models.loading import resolve_device
from benchmark.models.registry_types import RegisteredModel, Registry
from benchmark.records import Tally
from benchmark.runs.settings import Settings, checked
from benchmark.tasks import DEFAULT, task_named


@dataclass(frozen=True, slots=True)
class DataRequest:
    """Which states of which task: of a JSONL file, of the authors' ZIP, or generated from a seed.

    The seed is 0 if none is given, and must not be given with a file.
    """

    path: Path | None = None
    password: str | None = None
    seed: int | None = None
    states: int | None = None
    split: str = "test"
    task: str = DEFAULT


def data_request_of(values: Mapping[str, object]) -> DataRequest:
    """Return the request that the options of a command line or of a harness come to.

    Raises:
        SettingError: for a value that no such option has, and for an unknown task.
    """
    request = checked(DataRequest, values)
    task_named(request.task)
    return request


@dataclass(frozen=True, slots=True)
class RunRequest(Settings):
    """One run: which model on which states, where it is kept, and its settings.

    ``entry`` is what a registry of one's own says of a model that it names by its folder.
    ``set_aside`` moves another run that is in the folder out of the way instead of refusing it.
    """

    model: str
    out: Path
    data: DataRequest = DataRequest()
    entry: RegisteredModel | None = None
    revision: str | None = None
    set_aside: bool = False


class Progress(Protocol):
    """Shows how far a run is."""

    def say(self, text: str) -> None:
        """What is being done now, where it is not decoding."""

    def start(self, total: int, done: int, name: str = "") -> None:
        """Decoding by the model of that name begins, with so many states already there."""

    def advance(self, states: int, right: Tally | None = None, memory: int | None = None) -> None:
        """So many more states are on disk.

        ``right`` counts the queries of all that are, ``memory`` is of the GPU, in bytes.
        """


class Quiet:
    """Progress that nobody watches."""

    def say(self, text: str) -> None:
        """Say nothing."""

    def start(self, total: int, done: int, name: str = "") -> None:
        """Show nothing."""

    def advance(self, states: int, right: Tally | None = None, memory: int | None = None) -> None:
        """Show nothing."""


def registered(known: Registry, name: str, request: RunRequest) -> RunRequest:
    """The request for the model of that key or identifier, prompted and loaded as registered.

    An alternative identifier loads the alternative. Any other name is a model as ``run`` takes it,
    with the request's own settings.
    """
    model = known.find(name)
    return replace(request, model=name) if model is None else as_registered(model, request)


def as_registered(model: RegisteredModel, request: RunRequest) -> RunRequest:
    """The request for a registered model: prompted as the paper did, and in its bits on a GPU.

    A revision that the request names comes before the one that the registry pins.
    """
    pinned = None if model.is_local else model.revision or None
    return replace(
        request,
        model=model.huggingface_id,
        revision=request.revision or pinned,
        prompt_format=model.format,
        entry=model,
        quantization=model.quantization if resolve_device(request.device) != "cpu" else None,
    )
