"""Continuous batching: a pass contains what each sequence needs next, and sequences come and go.

Prompts are taken in the order of their token ids, so that prompts with a common beginning are
neighbours. What all prompts share is computed once per run. What neighbours share is computed
once for both: the next sequence copies it from the slot of the one before or, if that one is in
the same pass, has it written to its own slot too.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from benchmark.decoding.common_prefix import common_prefix_length
from benchmark.decoding.speculative.batch import (
    Batch,
    CacheCopy,
    CacheWrite,
    ChoiceObserver,
    NextTokenRequest,
    Runner,
)
from benchmark.decoding.speculative.cost_model import CostModel
from benchmark.decoding.speculative.draft_model import DraftModel
from benchmark.decoding.speculative.drafts import Drafter
from benchmark.decoding.speculative.sequence_state import (
    GenerationRules,
    SequenceState,
    Statistics,
)
from benchmark.records import TokenIds


class DecodedSequence(NamedTuple):
    """The completion of the prompt with that index; not ``finished`` if the limit cut it off."""

    prompt: int
    token_ids: TokenIds
    finished: bool


class _NeighbourSlot(NamedTuple):
    """The prompt tokens in the slot of the sequence that was admitted last.

    The first ``cached`` tokens were there before the present pass; the others are computed in it,
    at the indices ``pass_indices``.
    """

    tokens: TokenIds
    slot: int
    cached: int
    pass_indices: list[int]


class Scheduler:
    """Decodes the prompts of one run."""

    def __init__(
        self,
        runner: Runner,
        rules: GenerationRules,
        drafters: Mapping[str, Drafter],
        cost_model: CostModel,
        statistics: Statistics,
        observer: ChoiceObserver | None = None,
    ) -> None:
        """Take what decides the tokens (runner, rules) and what decides the speed (the others)."""
        self._observer = observer
        self._runner = runner
        self._rules = rules
        self._draft_model = DraftModel(rules.automaton, drafters)
        self._cost_model = cost_model
        self._statistics = statistics
        self._free_slots: list[int] = []
        self._neighbour = _NeighbourSlot((), -1, 0, [])

    def decode(self, prompts: Mapping[int, TokenIds]) -> Iterator[list[DecodedSequence]]:
        """Yield completions as they finish; each prompt must have at least one token."""
        waiting = deque(sorted(prompts, key=prompts.__getitem__))
        if not waiting:
            return
        # In sorted order, all prompts share what the first and the last share.
        first, last = prompts[waiting[0]], prompts[waiting[-1]]
        prefix = first[: min(common_prefix_length(first, last), len(first) - 1, len(last) - 1)]
        slots = min(self._cost_model.rows, len(waiting))
        self._free_slots = list(reversed(range(slots)))
        longest = max(map(len, prompts.values())) - len(prefix) + self._rules.max_new_tokens
        self._runner.begin(prefix, slots, longest)
        if prefix:
            self._statistics.passes += 1
            self._statistics.tokens += len(prefix)
        rows: list[SequenceState] = []
        while waiting or rows:
            batch = Batch(len(prefix))
            self._neighbour = self._neighbour._replace(
                cached=len(self._neighbour.tokens), pass_indices=[]
            )
            threshold = self._cost_model.threshold(min(len(rows) + len(waiting), slots))
            for row in rows:
                self._schedule(batch, row, threshold)
            while waiting and self._free_slots and len(batch.tokens) < self._cost_model.tokens:
                index = waiting.popleft()
                row = self._new_row(index, prompts[index], len(prefix))
                if not row.done:
                    self._admit(batch, row, threshold)
                rows.append(row)
            self._run(batch, rows)
            if done := [row for row in rows if row.done]:
                self._free_slots.extend(row.slot for row in done if row.slot >= 0)
                yield [DecodedSequence(row.index, row.generated, row.finished) for row in done]
            rows = [row for row in rows if not row.done]

    def _new_row(self, index: int, prompt: TokenIds, prefix: int) -> SequenceState:
        functions = self._draft_model.functions(prompt)
        return SequenceState(index, prompt[prefix:], self._rules, self._draft_model, functions)

    def _schedule(self, batch: Batch, row: SequenceState, threshold: float) -> range:
        """Add the row's next tokens to the pass; return their indices in it."""
        positions = row.propose(threshold)
        indices = batch.add(row.slot, row.cached, row.input_tokens())
        first_request = len(batch.requests)
        # The last token known is followed by the first open position, each draft by the next: of
        # 5 input tokens with 2 drafts, indices 2, 3 and 4 have a next token to choose.
        for index, position in zip(indices[-len(positions) :], positions, strict=True):
            if self._rules.automaton.single_token[position.state] is None:
                batch.requests.append(NextTokenRequest(index, position.state))
        row.requests = range(first_request, len(batch.requests))
        return indices

    def _admit(self, batch: Batch, row: SequenceState, threshold: float) -> None:
        """Give a row a slot and the tokens it shares with its neighbour, and schedule it.

        Suppose the neighbour's slot has 6 prompt tokens, 4 of them from before this pass, and the
        row shares 5. Then 4 are copied, the fifth is written to both slots by this pass, and the
        row computes its own tokens from the sixth on.
        """
        row.slot = slot = self._free_slots.pop()
        neighbour, prompt = self._neighbour, row.prompt
        shared = min(common_prefix_length(neighbour.tokens, prompt), len(prompt) - 1)
        cached = min(shared, neighbour.cached)
        if cached and slot != neighbour.slot:
            batch.copies.append(CacheCopy(neighbour.slot, slot, cached))
        borrowed = neighbour.pass_indices[: shared - cached]
        batch.writes.extend(CacheWrite(index, slot, cached + i) for i, index in enumerate(borrowed))
        row.cached = shared
        indices = self._schedule(batch, row, threshold)
        computed = [*borrowed, *indices[: len(prompt) - shared]]
        self._neighbour = _NeighbourSlot(prompt, slot, cached, computed)

    def _run(self, batch: Batch, rows: list[SequenceState]) -> None:
        if not batch.tokens:
            return
        tokens = self._runner.run(batch)
        self._statistics.passes += 1
        self._statistics.tokens += len(batch.tokens)
        self._statistics.questions += len(batch.requests)
        for row in rows:
            if not row.done:
                chosen = tokens[row.requests.start : row.requests.stop]
                seen = len(row.chosen_places)
                row.verify(chosen, self._statistics)
                if self._observer is not None:
                    places = row.chosen_places[seen:]
                    first = row.requests.start
                    self._observer(row.index, places, batch.requests[first : first + len(places)])
