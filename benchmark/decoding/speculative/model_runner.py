"""Runs the passes of the speculative engine on a transformers model."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from benchmark.decoding.speculative.automaton import Automaton
from benchmark.decoding.speculative.batch import Batch
from benchmark.decoding.speculative.cache import RaggedCache
from benchmark.decoding.speculative.cost_model import CostModel
from benchmark.decoding.speculative.passes import NAME, AttentionPass, PrefixPass, RowsPass
from benchmark.decoding.speculative.token_selection import Chooser, Head
from benchmark.records import TokenIds

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class ModelRunner:
    """A model with the cache of one run; use it under :func:`ragged`."""

    def __init__(self, model: "PreTrainedModel", automaton: Automaton, pace: CostModel) -> None:
        """Take a model, and the automaton that questions are about."""
        self._model = model
        self._pace = pace
        self._chooser = Chooser(automaton, Head(model))
        self._cache = RaggedCache(0, 0)

    def begin(self, prefix: TokenIds, slots: int, length: int) -> None:
        """Forget everything, compute the shared prefix, and make room for so many rows."""
        self._cache = RaggedCache(slots, length)
        if prefix:
            hidden_states(self._model, prefix, range(len(prefix)), PrefixPass(self._cache))

    def run(self, batch: Batch) -> list[int]:
        """The likeliest allowed token for each question; the lowest id among equals."""
        self._cache.copy(batch.copies)
        through = RowsPass(self._cache, batch, self._pace)
        hidden = hidden_states(self._model, batch.tokens, batch.positions, through)
        return self._chooser.choose(hidden, batch.questions)


def hidden_states(
    model: "PreTrainedModel",
    tokens: Sequence[int],
    positions: Sequence[int],
    through: AttentionPass,
) -> torch.Tensor:
    """What the layers make of the tokens of a pass, shape (tokens, hidden size)."""
    device = model.get_input_embeddings().weight.device
    output = model.get_decoder()(
        input_ids=torch.tensor([tokens], device=device),
        position_ids=torch.tensor([positions], device=device),
        use_cache=False,
        ragged=through,
    )
    hidden: torch.Tensor = output.last_hidden_state[0]
    return hidden


@contextmanager
def ragged(model: "PreTrainedModel") -> Iterator[None]:
    """The model attends with the present pass, and as before afterwards."""
    before = model.config._attn_implementation  # noqa: SLF001  # there is no public getter
    model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        model.set_attn_implementation(before)
