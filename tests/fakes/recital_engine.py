"""An engine that loads no weights: it returns the expected answers."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from benchmark.decoding.connection import ConnectInputs
from benchmark.decoding.engines import EngineInputs
from benchmark.models.tokenizer import detokenize
from benchmark.records import Completion, TokenIds


class Recital:
    """Decodes nothing."""

    composition: dict[str, object] = {}  # noqa: RUF012  # as in the Engine protocol

    def __init__(self, inputs: EngineInputs) -> None:
        """Keep the inputs."""
        assert inputs.weights is None
        self._inputs = inputs

    def generate(
        self, prompts: Sequence[TokenIds], done: AbstractSet[int] = frozenset()
    ) -> Iterator[list[tuple[int, Completion]]]:
        """Yield all completions at once."""
        expected = {i: self._inputs.expected[p] for i, p in enumerate(prompts) if i not in done}
        token_bytes = self._inputs.tokenizer.token_bytes
        yield [
            (i, Completion(ids, detokenize(token_bytes, ids), finished=True))
            for i, ids in expected.items()
        ]


def placed_on(device: str) -> None:
    """Take the device that the engine was placed on."""


@dataclass(frozen=True)
class PlacedConnection:
    """An engine of another process, on a number of GPUs."""

    ranks: int

    @property
    def facts(self) -> dict[str, object]:
        """Return the number."""
        return {"ranks": self.ranks}

    @property
    def libraries(self) -> dict[str, str]:
        """Return none."""
        return {}

    def held(self) -> AbstractContextManager[None]:
        """Keep nothing."""
        return nullcontext()

    def placed(self, device: str) -> "PlacedConnection":
        """Return itself."""
        placed_on(device)
        return self


def connect(inputs: ConnectInputs) -> PlacedConnection:
    """Return an engine on as many GPUs as the settings have."""
    return PlacedConnection(inputs.settings.ranks)


def create(inputs: EngineInputs) -> Recital:
    """Return the engine."""
    return Recital(inputs)
