"""The paper's own method: an ``outlines.Generator`` on a transformers model.

Three things are replaced, because outlines' own change scores: the vocabulary of the constraint
(:mod:`benchmark.decoding.constraint`), the prompt's token ids (outlines would apply the chat
template and tokenize the result again), and the generation config.
"""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from itertools import takewhile
from typing import TYPE_CHECKING, Self

import outlines
import torch
from outlines.backends.outlines_core import OutlinesCoreLogitsProcessor
from outlines.models.transformers import TransformerTokenizer
from transformers import GenerationConfig

from benchmark.decoding.constraint import Constraint
from benchmark.decoding.engine import DecodingLimits
from benchmark.decoding.engines import EngineInputs
from benchmark.decoding.finite_logits import FiniteLogitsCheck
from benchmark.decoding.padding import unpadded_reason
from benchmark.decoding.stops import stop_ids
from benchmark.models.tokenizer import TransformersTokenizer, detokenize
from benchmark.records import Completion, TokenIds

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def create(inputs: EngineInputs, fallback_reason: str | None = None) -> "OutlinesEngine":
    """Return the engine, constrained or not; with batch size 1 if the model takes no padding."""
    limits, notes = inputs.limits, dict[str, object]()
    if fallback_reason:
        notes |= {"engine": "outlines", "because": fallback_reason}
    if reason := unpadded_reason(inputs.model, inputs.tokenizer.eos_id, limits.batch_size):
        notes |= {"unpadded": reason}
        if limits.batch_size > 1:
            inputs.say(f"prompts are decoded one at a time with this model: {reason}")
            limits = replace(limits, batch_size=1)
    return OutlinesEngine(inputs.model, inputs.tokenizer, limits, inputs.constraint, notes)


class OutlinesEngine:
    """Greedy decoding in batches, with a constraint or, for the paper's ablation, without one."""

    def __init__(
        self,
        model: "PreTrainedModel",
        tokenizer: TransformersTokenizer,
        limits: DecodingLimits,
        constraint: Constraint | None,
        composition: dict[str, object] | None = None,
    ) -> None:
        """Replace the model's generation config.

        ``composition`` is what a result should say of the batches.
        """
        self._composition = composition or {}
        self._limits = limits
        self._token_bytes = tokenizer.token_bytes
        self._stops = stop_ids(model, tokenizer.eos_id)
        # generate() takes from here what its arguments do not say: penalties and sampling of the
        # model's own config would change the paper's greedy decoding.
        model.generation_config = GenerationConfig(
            do_sample=False,
            eos_token_id=sorted(self._stops),
            pad_token_id=tokenizer.eos_id,
            bos_token_id=tokenizer.bos_id,
        )
        self._check = FiniteLogitsCheck(model, self._stops | {tokenizer.eos_id})
        wrapped = outlines.from_transformers(model, tokenizer.raw)
        wrapped.type_adapter.has_chat_template = False
        wrapped.tokenizer = _IdTokenizer(tokenizer)
        processor = OutlinesCoreLogitsProcessor(constraint.index, "torch") if constraint else None
        self._generator = outlines.Generator(wrapped, processor=processor)

    @property
    def composition(self) -> dict[str, object]:
        """Why this engine is a fallback or pads nothing; otherwise empty.

        Batches are the prompts in order, so the batch size says the rest.
        """
        return self._composition

    @property
    def batch_size(self) -> int:
        """How many prompts are decoded together."""
        return self._limits.batch_size

    def generate(
        self, prompts: Sequence[TokenIds], done: AbstractSet[int] = frozenset()
    ) -> Iterator[list[tuple[int, Completion]]]:
        """Yield completions one batch at a time, in the order of the prompts.

        A batch is decoded in full unless all of it is done, because which prompts are padded
        together is part of a result's identity.

        Raises:
            NonFiniteLogitsError: if the model returns logits that are not finite.
        """
        size = self._limits.batch_size
        for start in range(0, len(prompts), size):
            pending = [i for i in range(start, min(start + size, len(prompts))) if i not in done]
            if pending:
                completions = self._batch(prompts[start : start + size], start)
                yield [(i, completions[i - start]) for i in pending]

    def _batch(self, prompts: Sequence[TokenIds], start: int) -> list[Completion]:
        # outlines compiles its mask kernel with torch.compile: seconds, for the same masks.
        eager = torch.compiler.set_stance("force_eager")
        with torch.inference_mode(), eager, self._check.generating(start):
            texts = self._generator.batch(
                [_Ids.of(ids) for ids in prompts], max_new_tokens=self._limits.max_new_tokens
            )
        return [self._completion(text.ids) for text in texts]

    def _completion(self, generated: TokenIds) -> Completion:
        ids = tuple(takewhile(lambda i: i not in self._stops, generated))
        return Completion(
            ids, detokenize(self._token_bytes, ids), finished=len(ids) < len(generated)
        )


class _Ids(str):
    """Token ids in the guise of a ``str``, which outlines passes through unchanged."""

    __slots__ = ("ids",)
    ids: TokenIds

    @classmethod
    def of(cls, ids: TokenIds) -> Self:
        instance = cls()
        instance.ids = ids
        return instance


class _IdTokenizer(TransformerTokenizer):  # type: ignore[misc]  # outlines is untyped here
    """Passes token ids through outlines in both directions."""

    def __init__(self, tokenizer: TransformersTokenizer) -> None:
        super().__init__(tokenizer.raw)
        self._pad = tokenizer.eos_id

    def encode(self, prompt: str | list[str], **_: object) -> tuple[torch.Tensor, torch.Tensor]:
        """Return ids and attention mask, shape (batch, longest prompt), padded on the left."""
        rows = [text.ids for text in prompt if isinstance(text, _Ids)]
        width = max(map(len, rows))
        ids = torch.tensor([[self._pad] * (width - len(row)) + [*row] for row in rows])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        return ids, mask

    def decode(self, token_ids: torch.Tensor) -> list[str]:
        """Return the generated ids of each row, in the guise of text."""
        return [_Ids.of(tuple(row)) for row in token_ids.tolist()]
