"""The settings of engines that run elsewhere, and what is known of one once it is found."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from benchmark.decoding.engine import DecodingLimits
from benchmark.errors import SettingError
from benchmark.models.location import Location
from benchmark.models.tokenizer import TransformersTokenizer

KINDS = ("auto", "vllm", "sglang", "llama.cpp")
"""The kinds of server; ``auto`` asks the server."""


@dataclass(frozen=True, slots=True)
class ExternalSettings:
    """Where an engine runs; none of this changes a score.

    Attributes:
        base_url: the address of a server, without ``/v1``.
        kind: one of :data:`KINDS`.
        concurrency: how many requests are open at a time; None to find it by trying.
    """

    base_url: str | None = None
    kind: str = "auto"
    concurrency: int | None = None

    @classmethod
    def checked(
        cls, base_url: str | None, kind: str | None, concurrency: int | None
    ) -> "ExternalSettings":
        """Return the settings.

        Raises:
            SettingError: for an unknown kind, and a number below 1.
        """
        if kind is not None and kind not in KINDS:
            raise SettingError(f"unknown --kind {kind!r}; choose one of {', '.join(KINDS)}")
        if concurrency is not None and concurrency < 1:
            raise SettingError(f"--concurrency {concurrency}: at least 1 is needed")
        return cls(base_url, kind or "auto", concurrency)


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
        say: takes a line of text for the user.
    """

    settings: ExternalSettings
    location: Location
    tokenizer: TransformersTokenizer
    expression: str
    limits: DecodingLimits
    dtype: str
    say: Callable[[str], None]


class Connection(Protocol):
    """An engine that was found."""

    @property
    def facts(self) -> Mapping[str, object]:
        """What it is, as JSON, for the identity of a run: version, backend, flags, weights."""
