"""The paper's own method: an ``outlines.Generator`` on a transformers model.

Three things are ours, since outlines' own change scores: the vocabulary of the constraint
(:mod:`benchmark.decoding.constraint`), the prompt's token ids (outlines would wrap the prompt
in the chat template and tokenize it again), and the generation config.
"""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from itertools import takewhile
from typing import TYPE_CHECKING, Self

import outlines
import torch
from outlines.backends.outlines_core import OutlinesCoreLogitsProcessor
from outlines.models.transformers import TransformerTokenizer
from transformers import GenerationConfig

from benchmark.decoding.constraint import Constraint
from benchmark.decoding.engine import DecodingLimits
from benchmark.decoding.engines import Inputs
from benchmark.decoding.stops import stop_ids
from benchmark.models.tokenizer import TransformersTokenizer, detokenize
from benchmark.records import Completion, TokenIds

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def create(inputs: Inputs, in_place_because: str | None = None) -> "OutlinesEngine":
    """Return the engine, with its constraint or without one."""
    return OutlinesEngine(
        inputs.model, inputs.tokenizer, inputs.limits, inputs.constraint, in_place_because
    )


class OutlinesEngine:
    """Greedy decoding in batches, under a constraint or, for the paper's ablation, without."""

    def __init__(
        self,
        model: "PreTrainedModel",
        tokenizer: TransformersTokenizer,
        limits: DecodingLimits,
        constraint: Constraint | None,
        in_place_because: str | None = None,
    ) -> None:
        """Take the model over: its generation config is replaced.

        ``in_place_because`` is why this engine runs where another was asked for.
        """
        self._in_place_because = in_place_because
        self._limits = limits
        self._token_bytes = tokenizer.token_bytes
        self._stops = stop_ids(model, tokenizer.eos_id)
        # What generate() does not find in its arguments it takes from here: penalties and
        # sampling of the model's own config would change the paper's greedy decoding.
        model.generation_config = GenerationConfig(
            do_sample=False,
            eos_token_id=sorted(self._stops),
            pad_token_id=tokenizer.eos_id,
            bos_token_id=tokenizer.bos_id,
        )
        wrapped = outlines.from_transformers(model, tokenizer.raw)
        wrapped.type_adapter.has_chat_template = False
        wrapped.tokenizer = _IdTokenizer(tokenizer)
        processor = OutlinesCoreLogitsProcessor(constraint.index, "torch") if constraint else None
        self._generator = outlines.Generator(wrapped, processor=processor)

    @property
    def composition(self) -> dict[str, object]:
        """Batches are the prompts in their order: nothing to add, unless it is a stand-in."""
        reason = self._in_place_because
        return {"engine": "outlines", "because": reason} if reason else {}

    def generate(
        self, prompts: Sequence[TokenIds], done: AbstractSet[int] = frozenset()
    ) -> Iterator[list[tuple[int, Completion]]]:
        """The completions, a batch at a time, in the order of the prompts.

        A batch is decoded whole unless all of it is done: which prompts are padded together is
        part of a result's identity.
        """
        size = self._limits.batch_size
        for start in range(0, len(prompts), size):
            wanted = [i for i in range(start, min(start + size, len(prompts))) if i not in done]
            if wanted:
                completions = self._batch(prompts[start : start + size])
                yield [(i, completions[i - start]) for i in wanted]

    def _batch(self, prompts: Sequence[TokenIds]) -> list[Completion]:
        # outlines compiles its mask kernel with torch.compile: seconds, for the same masks.
        with torch.inference_mode(), torch.compiler.set_stance("force_eager"):
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
    """Token ids where outlines passes text on: it hands a ``str`` through as it is."""

    __slots__ = ("ids",)
    ids: TokenIds

    @classmethod
    def of(cls, ids: TokenIds) -> Self:
        instance = cls()
        instance.ids = ids
        return instance


class _IdTokenizer(TransformerTokenizer):  # type: ignore[misc]  # outlines is untyped here
    """Gives outlines the prompt's own ids to run, and the generated ids back."""

    def __init__(self, tokenizer: TransformersTokenizer) -> None:
        super().__init__(tokenizer.raw)
        self._pad = tokenizer.eos_id

    def encode(self, prompt: str | list[str], **_: object) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids and attention mask, shape (batch, longest prompt), padded on the left."""
        rows = [text.ids for text in prompt if isinstance(text, _Ids)]
        width = max(map(len, rows))
        ids = torch.tensor([[self._pad] * (width - len(row)) + [*row] for row in rows])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        return ids, mask

    def decode(self, token_ids: torch.Tensor) -> list[str]:
        """The generated ids of each row, in the guise of text."""
        return [_Ids.of(tuple(row)) for row in token_ids.tolist()]
