"""Continuous batching: rows come and go, and a pass has whatever each of them needs next.

Prompts are taken in the order of their token ids, so that those that begin alike are
neighbours. What all have in common is computed once for the run. What neighbours have in common
is computed once for them: the next row copies it from the slot of the one before or, where that
one is in the same pass, has it written to its own slot too.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from benchmark.decoding.common_prefix import common_length
from benchmark.decoding.speculative.acceptance import Acceptance
from benchmark.decoding.speculative.batch import Batch, Copy, Question, Runner, Write
from benchmark.decoding.speculative.cost_model import CostModel
from benchmark.decoding.speculative.drafts import Drafter
from benchmark.decoding.speculative.sequence_state import Rules, SequenceState, Statistics
from benchmark.records import TokenIds


class Decoded(NamedTuple):
    """The completion of the prompt of that index; not ``finished`` when the limit cut it off."""

    prompt: int
    token_ids: TokenIds
    finished: bool


class _Held(NamedTuple):
    """What the slot of the row that was admitted last begins with.

    The first ``before`` tokens were there before the present pass, the others are computed in it,
    at ``places``.
    """

    tokens: TokenIds
    slot: int
    before: int
    places: list[int]


class Scheduler:
    """Decodes the prompts of one run."""

    def __init__(
        self,
        runner: Runner,
        rules: Rules,
        drafters: Mapping[str, Drafter],
        pace: CostModel,
        statistics: Statistics,
    ) -> None:
        """Take what decides the tokens, runner and rules, and what decides the speed."""
        self._runner = runner
        self._rules = rules
        self._drafters = drafters
        self._pace = pace
        self._statistics = statistics
        self._acceptance = Acceptance()
        self._free: list[int] = []
        self._held = _Held((), -1, 0, [])

    def decode(self, prompts: Mapping[int, TokenIds]) -> Iterator[list[Decoded]]:
        """Completions as they are finished; each prompt has at least one token."""
        waiting = deque(sorted(prompts, key=prompts.__getitem__))
        if not waiting:
            return
        # In sorted order whatever the first and the last share, all between them share.
        first, last = prompts[waiting[0]], prompts[waiting[-1]]
        prefix = first[: min(common_length(first, last), len(first) - 1, len(last) - 1)]
        slots = min(self._pace.rows, len(waiting))
        self._free = list(reversed(range(slots)))
        longest = max(map(len, prompts.values())) - len(prefix) + self._rules.max_new_tokens
        self._runner.begin(prefix, slots, longest)
        if prefix:
            self._statistics.passes += 1
            self._statistics.tokens += len(prefix)
        rows: list[SequenceState] = []
        while waiting or rows:
            batch = Batch(len(prefix))
            self._held = self._held._replace(before=len(self._held.tokens), places=[])
            threshold = self._pace.threshold(min(len(rows) + len(waiting), slots))
            for row in rows:
                self._enter(batch, row, threshold)
            while waiting and self._free and len(batch.tokens) < self._pace.tokens:
                index = waiting.popleft()
                row = self._row(index, prompts[index], len(prefix))
                if not row.done:
                    self._admit(batch, row, threshold)
                rows.append(row)
            self._run(batch, rows)
            if finished := [row for row in rows if row.done]:
                self._free.extend(row.slot for row in finished if row.slot >= 0)
                yield [Decoded(row.index, row.generated, row.finished) for row in finished]
            rows = [row for row in rows if not row.done]

    def _row(self, index: int, prompt: TokenIds, prefix: int) -> SequenceState:
        drafts = {name: drafter(prompt) for name, drafter in self._drafters.items()}
        return SequenceState(index, prompt[prefix:], self._rules, drafts)

    def _enter(self, batch: Batch, row: SequenceState, threshold: float) -> range:
        """Put what the row needs next into the pass; the places of its tokens."""
        choices = row.propose(self._acceptance, threshold)
        tokens = row.fed()
        places = batch.add(row.slot, row.cached, tokens)
        asked = len(batch.questions)
        for place, choice in zip(places[-len(choices) :], choices, strict=True):
            if self._rules.automaton.only[choice.state] is None:
                batch.questions.append(Question(place, choice.state))
        row.questions = range(asked, len(batch.questions))
        return places

    def _admit(self, batch: Batch, row: SequenceState, threshold: float) -> None:
        """Give a row a slot and what its neighbour has of its prompt, and let it enter."""
        row.slot = slot = self._free.pop()
        held, own = self._held, row.prompt
        shared = min(common_length(held.tokens, own), len(own) - 1)
        before = min(shared, held.before)
        if before and slot != held.slot:
            batch.copies.append(Copy(held.slot, slot, before))
        borrowed = held.places[: shared - before]
        batch.writes.extend(Write(p, slot, before + i) for i, p in enumerate(borrowed))
        row.cached = shared
        places = self._enter(batch, row, threshold)
        self._held = _Held(own, slot, before, [*borrowed, *places[: len(own) - shared]])

    def _run(self, batch: Batch, rows: list[SequenceState]) -> None:
        if not batch.tokens:
            return
        answers = self._runner.run(batch)
        self._statistics.passes += 1
        self._statistics.tokens += len(batch.tokens)
        self._statistics.questions += len(batch.questions)
        for row in rows:
            if not row.done:
                asked = answers[row.questions.start : row.questions.stop]
                row.settle(asked, self._acceptance, self._statistics)
