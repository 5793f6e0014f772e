"""What every engine does, and under which settings."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

from benchmark.errors import SettingError
from benchmark.records import Completion, TokenIds


@dataclass(frozen=True, slots=True)
class DecodingLimits:
    """How many prompts are decoded together, and how many tokens each may get."""

    batch_size: int
    max_new_tokens: int

    def changed(self, batch_size: int | None, max_new_tokens: int | None) -> Self:
        """The same with the limits that are given here.

        Raises:
            SettingError: for a limit below 1.
        """
        for name, value in (("--batch-size", batch_size), ("--max-new-tokens", max_new_tokens)):
            if value is not None and value < 1:
                raise SettingError(f"{name} {value}: at least 1 is needed")
        return type(self)(batch_size or self.batch_size, max_new_tokens or self.max_new_tokens)


class Passes(Protocol):
    """Forward passes of a model, and the tokens in them."""

    passes: int
    tokens: int


@runtime_checkable
class CountsPasses(Protocol):
    """An engine that counts its own forward passes, which no hook on the model sees."""

    statistics: Passes


class Engine(Protocol):
    """Decodes prompts greedily: at each step the likeliest of the allowed tokens."""

    @property
    def composition(self) -> dict[str, object]:
        """What else than the batch size decides which tokens share a pass, as JSON.

        Empty where nothing does; an engine that stands in for another says so here too.
        """

    def generate(
        self, prompts: Sequence[TokenIds], done: AbstractSet[int] = frozenset()
    ) -> Iterator[list[tuple[int, Completion]]]:
        """The completions as they are finished, each with the index of its prompt.

        ``done`` names prompts whose completions are not wanted any more. They may be decoded
        all the same, where leaving them out would change the others' batch.
        """
