"""What is asked of a run, and how it shows where it is."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmark.models.registry import RegisteredModel
from benchmark.records import Tally


@dataclass(frozen=True, slots=True)
class DataRequest:
    """Which states: of a JSONL file, of the authors' ZIP, or generated from a seed.

    The seed is 0 where none is given, and must not be given beside a file.
    """

    path: Path | None = None
    password: str | None = None
    seed: int | None = None
    states: int | None = None
    split: str = "test"


@dataclass(frozen=True, slots=True)
class RunRequest:
    """One run: which model on which states, and every setting that can change its score.

    ``None`` takes the protocol's own setting; for ``instruction_role`` what the registry says.
    ``entry`` is what a registry of one's own says of a model that it names by its folder.
    ``set_aside`` moves another run that is in the folder out of the way instead of refusing it.
    """

    model: str
    out: Path
    data: DataRequest = DataRequest()
    engine: str | None = None
    protocol: str = "default"
    prompt_format: str = "completion"
    prompt_variant: str = "authors"
    instruction_role: str | None = None
    bos: str = "auto"
    entry: RegisteredModel | None = None
    revision: str | None = None
    device: str = "auto"
    dtype: str | None = None
    quantization: str | None = None
    batch_size: int | None = None
    max_new_tokens: int | None = None
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
