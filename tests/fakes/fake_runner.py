"""A model in a few lines of Python, which keeps tokens where a real one keeps keys."""

from collections.abc import Callable, Mapping, Sequence

from benchmark.decoding.speculative.batch import Batch, Span
from benchmark.records import TokenIds

Scores = Callable[[TokenIds, int], float]
"""How likely a token is after others."""


class FakeRunner:
    """Implements ``benchmark.decoding.speculative.batch.Runner`` and checks all that it is given.

    What a token sees is read from the slots, as attention would: a hole, a stale draft or
    another row's token there changes its answers.
    """

    def __init__(self, steps: Sequence[Mapping[int, int]], scores: Scores) -> None:
        """Answer with the best-scored allowed token."""
        self.steps = steps
        self.scores = scores
        self.prefix: TokenIds = ()
        self.slots: list[list[int | None]] = []
        self.length = 0
        self.batches: list[Batch] = []

    def begin(self, prefix: TokenIds, slots: int, length: int) -> None:
        """Empty slots after the prefix."""
        self.prefix = prefix
        self.length = length
        self.slots = [[] for _ in range(slots)]

    def run(self, batch: Batch) -> list[int]:
        """Copy, write, and answer."""
        self.batches.append(batch)
        for source, target, length in batch.copies:
            assert None not in self.slots[source][:length]
            self._write(target, 0, self.slots[source][:length])
        for token, slot, position in batch.writes:
            self._write(slot, position, [batch.tokens[token]])
        return [self._answer(batch, token, state) for token, state in batch.questions]

    def _write(self, slot: int, position: int, tokens: Sequence[int | None]) -> None:
        held = self.slots[slot]
        assert position + len(tokens) <= self.length
        held.extend([None] * (position + len(tokens) - len(held)))
        held[position : position + len(tokens)] = tokens

    def _answer(self, batch: Batch, token: int, state: int) -> int:
        (span,) = (s for s in batch.spans if s.start <= token < s.start + s.length)
        seen = self._seen(span, token)
        assert seen[-1] == batch.tokens[token]
        assert batch.positions[token] == len(seen) - 1
        allowed = sorted(self.steps[state])
        assert len(allowed) > 1
        return max(allowed, key=lambda i: self.scores(seen, i))

    def _seen(self, span: Span, token: int) -> TokenIds:
        own = self.slots[span.slot][: span.position + token - span.start + 1]
        assert None not in own
        return (*self.prefix, *(i for i in own if i is not None))
