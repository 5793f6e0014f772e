"""The settings of engines that run elsewhere, and what is known of one once it is found."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from benchmark.decoding.engine import DecodingLimits
from benchmark.errors import SettingError
from benchmark.models.location import Location
from benchmark.models.tokenizer import TransformersTokenizer

KINDS = ("auto", "vllm", "sglang", "llama.cpp")
"""The kinds of server; ``auto`` asks the server."""


@dataclass(frozen=True, slots=True)
class ExternalSettings:
    """Where and how an engine runs.

    Attributes:
        base_url: the address of a server, without ``/v1``.
        kind: one of :data:`KINDS`.
        concurrency: how many requests are open at a time; None to find it by trying.
        tensor_parallel: into how many parts vLLM splits each layer; None for one per GPU.
        pipeline_parallel: into how many parts it splits the sequence of layers; None for one.
    """

    base_url: str | None = None
    kind: str = "auto"
    concurrency: int | None = None
    tensor_parallel: int | None = None
    pipeline_parallel: int | None = None

    @property
    def ranks(self) -> int:
        """The number of GPUs that the engine computes on, if it has been decided, else 1."""
        return (self.tensor_parallel or 1) * (self.pipeline_parallel or 1)

    def on_gpus(self, count: int) -> "ExternalSettings":
        """Return the settings for this number of GPUs; a size that is given already is kept."""
        if self.tensor_parallel is not None:
            return self
        return replace(self, tensor_parallel=max(1, count // (self.pipeline_parallel or 1)))

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            SettingError: for an unknown kind, and a number below 1.
        """
        if self.kind not in KINDS:
            raise SettingError(f"unknown --kind {self.kind!r}; choose one of {', '.join(KINDS)}")
        for name in ("concurrency", "tensor_parallel", "pipeline_parallel"):
            number: int | None = getattr(self, name)
            if number is not None and number < 1:
                raise SettingError(f"--{name.replace('_', '-')} {number}: at least 1 is needed")


class EngineFaultError(SettingError):
    """An engine was found, and does not do what a run needs."""


@dataclass(frozen=True, slots=True)
class ConnectInputs:
    """What an engine that runs elsewhere is found with.

    Attributes:
        settings: where it runs.
        location: the model's files; those that a server loads are not known.
        tokenizer: the model's tokenizer.
        expression: what completions must match.
        limits: batch size and completion length.
        dtype: the dtype that the engine is to compute in, or is said to.
        device: the device that it is to compute on.
        say: takes a line of text for the user.
    """

    settings: ExternalSettings
    location: Location
    tokenizer: TransformersTokenizer
    expression: str
    limits: DecodingLimits
    dtype: str
    device: str
    say: Callable[[str], None]


class Connection(Protocol):
    """An engine that was found."""

    @property
    def facts(self) -> Mapping[str, object]:
        """What it is, as JSON, for the identity of a run: version, backend, flags, weights."""

    @property
    def libraries(self) -> Mapping[str, str]:
        """The versions of libraries where it runs, as far as they are known."""

    def held(self) -> AbstractContextManager[None]:
        """Keep what is started for it between its uses, until the end of the block."""


@runtime_checkable
class DeviceConnection(Connection, Protocol):
    """An engine that computes on a device of this machine, in another process."""

    def placed(self, device: str) -> Connection:
        """Return the engine on a device with as many GPUs as it was found for."""
