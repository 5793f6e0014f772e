"""Greedy decoding under a constraint by definition: one prompt, one token, one pass.

Without cache, batches or drafts it is the reference for the project's engines. It also shows how
to add an engine: a module like this one, and a row in the table of engines.
"""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

import torch

from benchmark.decoding.engines import EngineInputs
from benchmark.models.tokenizer import detokenize
from benchmark.records import Completion, TokenIds


class NaiveEngine:
    """The likeliest allowed token after everything so far, until the end of the sequence."""

    composition: dict[str, object] = {}  # noqa: RUF012  # as in the Engine protocol

    def __init__(self, inputs: EngineInputs) -> None:
        """Keep the inputs."""
        self._inputs = inputs

    def generate(
        self, prompts: Sequence[TokenIds], done: AbstractSet[int] = frozenset()
    ) -> Iterator[list[tuple[int, Completion]]]:
        """Yield one completion at a time."""
        for index, prompt in enumerate(prompts):
            if index not in done:
                yield [(index, self._completion(prompt))]

    def _completion(self, prompt: TokenIds) -> Completion:
        inputs = self._inputs
        assert inputs.constraint is not None
        answer: list[int] = []
        while len(answer) < inputs.limits.max_new_tokens:
            with torch.inference_mode():
                scores = inputs.model(torch.tensor([[*prompt, *answer]])).logits[0, -1]
            allowed = sorted(inputs.constraint.allowed(answer))
            token = allowed[int(scores[allowed].argmax())]
            if token == inputs.tokenizer.eos_id:
                break
            answer.append(token)
        text = detokenize(inputs.tokenizer.token_bytes, answer)
        return Completion(tuple(answer), text, finished=len(answer) < inputs.limits.max_new_tokens)


def create(inputs: EngineInputs) -> NaiveEngine:
    """Return the engine."""
    return NaiveEngine(inputs)


class Recital:
    """Returns the expected answers: an engine that loads no weights."""

    composition: dict[str, object] = {}  # noqa: RUF012

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


def create_recital(inputs: EngineInputs) -> Recital:
    """Return the engine."""
    return Recital(inputs)
