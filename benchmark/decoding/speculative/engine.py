"""The default engine: greedy constrained decoding in few passes, with the paper's tokens.

Drafts of several tokens are verified in one pass: where the likeliest allowed token is the
drafted one, the pass has already gone on from it, and where it is not, it takes its place. So no
draft can change the outcome. :mod:`benchmark.decoding.speculative.scheduler` says what a pass has
in it.
"""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict
from typing import TYPE_CHECKING

import torch

from benchmark.decoding import outlines_engine
from benchmark.decoding.constraint import Constraint
from benchmark.decoding.engine import DecodingLimits, Engine
from benchmark.decoding.engines import Inputs
from benchmark.decoding.speculative.automaton import Automaton
from benchmark.decoding.speculative.compatibility import unsupported
from benchmark.decoding.speculative.cost_model import CostModel
from benchmark.decoding.speculative.drafts import Drafter, copied, expected
from benchmark.decoding.speculative.linears import packed
from benchmark.decoding.speculative.matmul_backends import matmul_backend_for
from benchmark.decoding.speculative.model_runner import ModelRunner, ragged
from benchmark.decoding.speculative.scheduler import Scheduler
from benchmark.decoding.speculative.sequence_state import Rules, Statistics
from benchmark.decoding.stops import stop_ids
from benchmark.models.tokenizer import TransformersTokenizer, detokenize
from benchmark.records import Completion, TokenIds

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def create(inputs: Inputs) -> Engine:
    """Return the engine; for a model that it does not support, ``outlines`` with the reason."""
    if inputs.constraint is None:
        raise TypeError("the speculative engine drafts from a constraint")
    if reason := unsupported(inputs.model):
        inputs.say(f"engine outlines in place of speculative for this model: {reason}")
        return outlines_engine.create(inputs, in_place_because=reason)
    drafters = {"expected": expected(inputs.expected)} if inputs.expected else {}
    return SpeculativeEngine(
        inputs.model, inputs.tokenizer, inputs.limits, inputs.constraint, drafters
    )


class SpeculativeEngine:
    """Greedy decoding under a constraint, many prompts at a time."""

    def __init__(
        self,
        model: "PreTrainedModel",
        tokenizer: TransformersTokenizer,
        limits: DecodingLimits,
        constraint: Constraint,
        drafters: Mapping[str, Drafter] | None = None,
    ) -> None:
        """Take the model over while completions are generated, and give it back as it was.

        Args:
            model: what decodes.
            tokenizer: its tokenizer.
            limits: how many prompts are decoded together, and how long completions may be.
            constraint: what completions must match.
            drafters: sources of drafts by name, beside the constraint itself and the prompt.
        """
        self._model = model
        self._token_bytes = tokenizer.token_bytes
        self._product = matmul_backend_for(model)
        self._pace = CostModel.on(model.device.type, limits.batch_size)
        self._drafters = {"prompt": copied, **(drafters or {})}
        automaton = Automaton.of(constraint, tokenizer.token_bytes)
        stops = stop_ids(model, tokenizer.eos_id)
        self._rules = Rules(automaton, stops, limits.max_new_tokens)
        self.statistics = Statistics()
        """What all calls of :meth:`generate` so far took."""

    @property
    def composition(self) -> dict[str, object]:
        """What decides which prompts and drafts share a pass.

        The prompts themselves and those already done do too. In float32 none of it moves a logit
        by more than rounding; in bfloat16 it turns near ties round.
        """
        return {
            "order": "sorted token ids, rows replaced as they finish",
            "drafts": sorted([*self._drafters, "expression"]),
            "pace": asdict(self._pace),
            "products": self._product.name if self._product else "the model's own",
        }

    def generate(
        self, prompts: Sequence[TokenIds], done: AbstractSet[int] = frozenset()
    ) -> Iterator[list[tuple[int, Completion]]]:
        """The completions as they are finished, not in the order of the prompts.

        Prompts that are done are left out.
        """
        wanted = {i: prompt for i, prompt in enumerate(prompts) if i not in done}
        with packed(self._model, self._product), ragged(self._model):
            runner = ModelRunner(self._model, self._rules.automaton, self._pace)
            scheduler = Scheduler(runner, self._rules, self._drafters, self._pace, self.statistics)
            batches = scheduler.decode(wanted)
            while True:
                # Not around the yield: what runs in between is not ours.
                with torch.inference_mode():
                    finished = next(batches, None)
                if finished is None:
                    return
                yield [
                    (index, Completion(ids, detokenize(self._token_bytes, ids), finished=whole))
                    for index, ids, whole in finished
                ]
