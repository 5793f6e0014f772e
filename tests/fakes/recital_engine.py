"""An engine that loads no weights: it returns the expected answers."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

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


def create(inputs: EngineInputs) -> Recital:
    """Return the engine."""
    return Recital(inputs)
