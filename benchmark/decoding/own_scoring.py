"""Decode and score prompts by an engine of this process, in any arrangement."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from benchmark.decoding import outlines_engine
from benchmark.decoding.engine import Engine
from benchmark.decoding.engines import EngineInputs
from benchmark.decoding.log_probs import (
    Arrangement,
    DecodedAnswer,
    ForcedSequence,
    OtherIdsError,
    TokenLogProbs,
)
from benchmark.decoding.speculative import engine as speculative_engine
from benchmark.decoding.speculative.engine import SpeculativeEngine
from benchmark.decoding.teacher_forcing import teacher_forced_log_probs
from benchmark.records import Completion, TokenIds

_Values = Mapping[int, torch.Tensor]
"""Log-probabilities of the vocabulary by place."""


def create_speculative(inputs: EngineInputs, _: Sequence[TokenIds]) -> "OwnScoring":
    """Return the default engine; with ``outlines`` in its place, it tells no values."""
    return OwnScoring(inputs, speculative_engine.create)


def create_outlines(inputs: EngineInputs, _: Sequence[TokenIds]) -> "OwnScoring":
    """Return the paper's engine, which tells no values while it decodes."""
    return OwnScoring(inputs, outlines_engine.create)


@dataclass
class OwnScoring:
    """A model in this process: its engine decodes, one pass over prompt and answer scores."""

    inputs: EngineInputs
    create: Callable[[EngineInputs], Engine]
    scores = True

    def decoded(
        self, prompts: Sequence[TokenIds], arrangement: Arrangement
    ) -> Sequence[DecodedAnswer]:
        """Return the answer to each prompt, in the order of the prompts."""
        limits = replace(self.inputs.limits, batch_size=arrangement.together)
        engine = self.create(replace(self.inputs, limits=limits))
        values: dict[int, dict[int, torch.Tensor]] | None = None
        if isinstance(engine, SpeculativeEngine):
            engine.values = values = {}
        answers = dict[int, DecodedAnswer]()
        ordered = [prompts[index] for index in arrangement.order]
        for batch in engine.generate(ordered):
            for number, completion in batch:
                told = None if values is None else values.pop(number, {})
                answers[arrangement.order[number]] = self._answer(completion, told)
        return [answers[index] for index in range(len(prompts))]

    def scored(
        self, rows: Sequence[ForcedSequence], arrangement: Arrangement, others: int
    ) -> Sequence[TokenLogProbs | OtherIdsError]:
        """Return the log-probabilities along each answer."""
        ordered = [rows[index] for index in arrangement.order]
        batches = teacher_forced_log_probs(
            self.inputs.model, ordered, others, arrangement.together, self.inputs.tokenizer.eos_id
        )
        scored = [row for batch in batches for row in batch]
        by_index = dict(zip(arrangement.order, scored, strict=True))
        return [by_index[index] for index in range(len(rows))]

    def _answer(self, completion: Completion, told: _Values | None) -> DecodedAnswer:
        end = (self.inputs.tokenizer.eos_id,) if completion.finished else ()
        path = (*completion.token_ids, *end)
        if told is None:
            return DecodedAnswer(path, completion.finished, None)
        values = np.full(len(path), np.nan)
        for place, row in told.items():
            values[place] = row[path[place]].item()
        return DecodedAnswer(path, completion.finished, values)
