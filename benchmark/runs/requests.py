"""The request of a run, and the protocol of its progress display."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol, Self

from benchmark.models.registry_types import RegisteredModel, Registry
from benchmark.records import Tally
from benchmark.runs.settings import Settings, validated
from benchmark.tasks import DEFAULT, task_named


@dataclass(frozen=True, slots=True)
class DataRequest:
    """The states to ask about: from a JSONL file, the authors' ZIP, or generated from a seed.

    The seed defaults to 0 and cannot be combined with a file.
    """

    path: Path | None = None
    password: str | None = None
    seed: int | None = None
    states: int | None = None
    split: str = "test"
    task: str = DEFAULT


NOT_WRITTEN = Path("unused")
"""The folder of a request whose answers are not written by it."""


def data_request_of(values: Mapping[str, object]) -> DataRequest:
    """Return the request for the values of a command line or a harness.

    Raises:
        SettingError: for a value of another type, and for an unknown task.
    """
    request = validated(DataRequest, values)
    task_named(request.task)
    return request


@dataclass(frozen=True, slots=True)
class RunRequest(Settings):
    """One run: the model, the states, the output folder, and the settings.

    ``entry`` is the model's entry in the user's own registry. With ``set_aside`` a different run in
    the folder is moved out of the way instead of being refused.
    """

    model: str
    out: Path
    data: DataRequest = DataRequest()
    entry: RegisteredModel | None = None
    revision: str | None = None
    set_aside: bool = False

    @classmethod
    def of(
        cls,
        settings: Settings,
        model: str = "",
        data: DataRequest = DataRequest(),
        *,
        out: Path = NOT_WRITTEN,
        revision: str | None = None,
        set_aside: bool = False,
    ) -> Self:
        """Return the request with these settings; without ``out`` nothing is to be written."""
        return cls(model, out, data, revision=revision, set_aside=set_aside, **asdict(settings))


class Speaker(Protocol):
    """Shows what happens before states are decoded."""

    def say(self, text: str) -> None:
        """Show one line of text."""


class Progress(Speaker, Protocol):
    """Shows the progress of a run."""

    def start(self, total: int, done: int, name: str = "", forecast: float | None = None) -> None:
        """Show that decoding begins, with ``done`` of ``total`` states finished before.

        ``forecast`` is how many seconds the others are expected to take.
        """

    def advance(self, states: int, right: Tally | None = None, memory: int | None = None) -> None:
        """Show that ``states`` more states are finished.

        ``right`` counts the queries of all finished states; ``memory`` is used GPU memory in bytes.
        """


class Quiet:
    """Progress that shows nothing."""

    def say(self, text: str) -> None:
        """Show nothing."""

    def start(self, total: int, done: int, name: str = "", forecast: float | None = None) -> None:
        """Show nothing."""

    def advance(self, states: int, right: Tally | None = None, memory: int | None = None) -> None:
        """Show nothing."""


def registered(registry: Registry, name: str, request: RunRequest) -> RunRequest:
    """Return the request for the model with this key or identifier.

    A registered model is prompted and loaded as its entry says, an alternative from its own
    repository. Any other name is a model as for ``run``, with the settings of the request.
    """
    model = registry.find(name)
    return replace(request, model=name) if model is None else as_registered(model, request)


def as_registered(model: RegisteredModel, request: RunRequest) -> RunRequest:
    """Return the request for a registered model, with its prompt format.

    The protocol decides whether its weights are quantized. The revision of the request takes
    precedence over the registry's.
    """
    pinned = None if model.is_local else model.revision or None
    return replace(
        request,
        model=model.huggingface_id,
        revision=request.revision or pinned,
        prompt_format=model.format,
        entry=model,
    )
