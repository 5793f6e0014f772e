"""A model in a few lines of Python, which caches tokens instead of keys and values."""

from collections.abc import Callable, Mapping, Sequence

from benchmark.decoding.speculative.batch import Batch, RowSpan
from benchmark.records import TokenIds

Scores = Callable[[TokenIds, int], float]
"""Takes the preceding tokens and a token, and returns the token's score."""


class FakeRunner:
    """Implements ``benchmark.decoding.speculative.batch.Runner`` and checks its input.

    The tokens that a token sees are read from the slots, as attention reads keys: a gap, a stale
    draft or another sequence's token there changes the result.
    """

    def __init__(self, transitions: Sequence[Mapping[int, int]], scores: Scores) -> None:
        """Choose the best-scored allowed token by state."""
        self.transitions = transitions
        self.scores = scores
        self.prefix: TokenIds = ()
        self.slots: list[list[int | None]] = []
        self.length = 0
        self.batches: list[Batch] = []

    def begin(self, prefix: TokenIds, slots: int, length: int) -> None:
        """Empty all slots."""
        self.prefix = prefix
        self.length = length
        self.slots = [[] for _ in range(slots)]

    def run(self, batch: Batch) -> list[int]:
        """Copy, write, and choose tokens."""
        self.batches.append(batch)
        for source, target, length in batch.copies:
            assert None not in self.slots[source][:length]
            self._write(target, 0, self.slots[source][:length])
        for token, slot, position in batch.writes:
            self._write(slot, position, [batch.tokens[token]])
        return [self._choose(batch, token, state) for token, state in batch.requests]

    def _write(self, slot: int, position: int, tokens: Sequence[int | None]) -> None:
        cached = self.slots[slot]
        assert position + len(tokens) <= self.length
        cached.extend([None] * (position + len(tokens) - len(cached)))
        cached[position : position + len(tokens)] = tokens

    def _choose(self, batch: Batch, token: int, state: int) -> int:
        (span,) = (s for s in batch.spans if s.start <= token < s.start + s.length)
        seen = self._seen(span, token)
        assert seen[-1] == batch.tokens[token]
        assert batch.positions[token] == len(seen) - 1
        allowed = sorted(self.transitions[state])
        assert len(allowed) > 1
        return max(allowed, key=lambda i: self.scores(seen, i))

    def _seen(self, span: RowSpan, token: int) -> TokenIds:
        own = self.slots[span.slot][: span.position + token - span.start + 1]
        assert None not in own
        return (*self.prefix, *(i for i in own if i is not None))
