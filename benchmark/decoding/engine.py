"""What every engine does, and under which settings."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Protocol

from benchmark.records import Completion, TokenIds


@dataclass(frozen=True, slots=True)
class Limits:
    """How many prompts are decoded together, and how many tokens each may get."""

    batch_size: int
    max_new_tokens: int


class Engine(Protocol):
    """Decodes prompts greedily: at each step the likeliest of the allowed tokens."""

    def generate(
        self, prompts: Sequence[TokenIds], done: AbstractSet[int] = frozenset()
    ) -> Iterator[list[tuple[int, Completion]]]:
        """The completions as they are finished, each with the index of its prompt.

        ``done`` names prompts whose completions are not wanted any more. They may be decoded
        all the same, where leaving them out would change the others' batch.
        """
