"""The interface of an engine, and its limits."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

from benchmark.errors import SettingError
from benchmark.records import Completion, TokenIds


@dataclass(frozen=True, slots=True)
class DecodingLimits:
    """The number of prompts decoded together, and of new tokens per prompt."""

    batch_size: int
    max_new_tokens: int

    def changed(self, batch_size: int | None, max_new_tokens: int | None) -> Self:
        """Return the limits with those that are not None replaced.

        Raises:
            SettingError: if a limit is below 1.
        """
        for name, value in (("--batch-size", batch_size), ("--max-new-tokens", max_new_tokens)):
            if value is not None and value < 1:
                raise SettingError(f"{name} {value}: at least 1 is needed")
        return type(self)(batch_size or self.batch_size, max_new_tokens or self.max_new_tokens)


class Passes(Protocol):
    """The number of forward passes of a model, and of tokens in them."""

    passes: int
    tokens: int


@runtime_checkable
class CountsPasses(Protocol):
    """An engine that counts its own forward passes, because no hook on the model sees them."""

    statistics: Passes


@runtime_checkable
class ChoosesBatchSize(Protocol):
    """An engine that may decode in smaller batches than its limits say."""

    @property
    def batch_size(self) -> int:
        """The batch size that it uses."""


class Engine(Protocol):
    """Decodes prompts greedily: each token is the likeliest of the allowed ones."""

    @property
    def composition(self) -> dict[str, object]:
        """What decides which tokens share a pass, in addition to the batch size, as JSON.

        Empty if nothing does. If this engine is used instead of another, the reason is here too.
        """

    def generate(
        self, prompts: Sequence[TokenIds], done: AbstractSet[int] = frozenset()
    ) -> Iterator[list[tuple[int, Completion]]]:
        """Yield completions as they finish, each with the index of its prompt.

        ``done`` has the indices of prompts whose completions are not needed. They may still be
        decoded if leaving them out would change the batch of others.
        """
