"""One forward pass in token ids: the input and output of a runner."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from benchmark.records import TokenIds


class RowSpan(NamedTuple):
    """The tokens of one sequence in a pass.

    ``start`` and ``length`` locate them in the pass, ``position`` locates the first of them in
    the sequence's cache slot.
    """

    slot: int
    start: int
    length: int
    position: int


class CacheWrite(NamedTuple):
    """Store the keys and values of a token of the pass at a position of a slot."""

    token: int
    slot: int
    position: int


class CacheCopy(NamedTuple):
    """Before the pass, copy the first ``length`` positions of a slot to another slot."""

    source: int
    target: int
    length: int


class NextTokenRequest(NamedTuple):
    """Choose the token after a token of the pass, among those the automaton's state allows."""

    token: int
    state: int


@dataclass(slots=True)
class Batch:
    """Sequences packed one after another, without padding.

    A token sees the shared prefix (``prefix`` tokens) and its sequence's slot up to and including
    its own position, after all writes. A token that several sequences share is computed once and
    written to the slot of each.
    """

    prefix: int
    tokens: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    spans: list[RowSpan] = field(default_factory=list)
    copies: list[CacheCopy] = field(default_factory=list)
    writes: list[CacheWrite] = field(default_factory=list)
    requests: list[NextTokenRequest] = field(default_factory=list)

    def add(self, slot: int, position: int, tokens: Sequence[int]) -> range:
        """Append tokens of a sequence; the first goes to ``position`` of the slot.

        Returns:
            The tokens' indices in the pass.
        """
        start, count = len(self.tokens), len(tokens)
        self.spans.append(RowSpan(slot, start, count, position))
        self.tokens.extend(tokens)
        first = self.prefix + position
        self.positions.extend(range(first, first + count))
        self.writes.extend(CacheWrite(start + i, slot, position + i) for i in range(count))
        return range(start, start + count)


NOT_FINITE = -1
"""The answer to a request whose logits are not finite."""


class ChoiceObserver(Protocol):
    """Sees the tokens that were chosen, right after the pass that chose them."""

    def __call__(
        self, prompt: int, places: Sequence[int], requests: Sequence[NextTokenRequest]
    ) -> None:
        """Take the places of an answer whose tokens a pass chose, and the request for each."""


class Runner(Protocol):
    """Runs passes on a model, and keeps the keys and values of the prefix and of the slots."""

    def begin(self, prefix: TokenIds, slots: int, length: int) -> None:
        """Clear the cache, compute the shared prefix, and set the number of slots.

        ``length`` is the most tokens that a sequence may have after the prefix.

        Raises:
            MemoryError: if the slots do not fit.
        """

    def run(self, batch: Batch) -> list[int]:
        """Return the likeliest allowed token for each request; of equals, the lowest id.

        If the logits of a request are not finite, its token is :data:`NOT_FINITE`. It ends the run
        only if it is not that of a rejected draft.
        """
