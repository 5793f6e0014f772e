"""One forward pass in token ids: what a runner is asked, and what it answers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from benchmark.records import TokenIds


class Span(NamedTuple):
    """The tokens of one row in a pass.

    ``start`` and ``length`` say where they are in the pass, ``position`` where the first of them
    is in the row's slot.
    """

    slot: int
    start: int
    length: int
    position: int


class Write(NamedTuple):
    """The keys and values of a token of the pass go to a position of a slot."""

    token: int
    slot: int
    position: int


class Copy(NamedTuple):
    """Before the pass, the first ``length`` positions of a slot are copied to another."""

    source: int
    target: int
    length: int


class Question(NamedTuple):
    """Which token follows a token of the pass, of those the automaton's state allows?"""

    token: int
    state: int


@dataclass(slots=True)
class Batch:
    """Rows packed one after another, without padding.

    A token sees the shared prefix, which is ``prefix`` tokens long, and its row's slot up to and
    with its own position, after all writes. A token that several rows have in common is computed
    once and written to each one's slot.
    """

    prefix: int
    tokens: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    copies: list[Copy] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)

    def add(self, slot: int, position: int, tokens: Sequence[int]) -> range:
        """Append tokens of a row, of which the first comes to ``position`` of the slot.

        Returns:
            The places of the tokens in the pass.
        """
        start, count = len(self.tokens), len(tokens)
        self.spans.append(Span(slot, start, count, position))
        self.tokens.extend(tokens)
        first = self.prefix + position
        self.positions.extend(range(first, first + count))
        self.writes.extend(Write(start + i, slot, position + i) for i in range(count))
        return range(start, start + count)


class Runner(Protocol):
    """Runs passes on a model, and keeps the keys and values of a prefix and of slots."""

    def begin(self, prefix: TokenIds, slots: int, length: int) -> None:
        """Forget everything, compute the shared prefix, and make room for so many rows.

        ``length`` is the most tokens that a row may have after the prefix.
        """

    def run(self, batch: Batch) -> list[int]:
        """The likeliest allowed token for each question; the lowest id among equals."""
