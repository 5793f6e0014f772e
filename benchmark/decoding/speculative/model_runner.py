"""Runs the passes of the speculative engine on a transformers model."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from benchmark.decoding.speculative.automaton import Automaton
from benchmark.decoding.speculative.batch import Batch, NextTokenRequest
from benchmark.decoding.speculative.cache import RaggedCache
from benchmark.decoding.speculative.cost_model import CostModel
from benchmark.decoding.speculative.passes import NAME, AttentionPass, PrefixPass, RowsPass
from benchmark.decoding.speculative.token_selection import OutputHead, TokenSelector
from benchmark.decoding.speculative.transfers import on_device
from benchmark.models.library_messages import collected_messages
from benchmark.records import TokenIds

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class ModelRunner:
    """A model with the cache of one run; use it under :func:`ragged`."""

    def __init__(
        self, model: "PreTrainedModel", automaton: Automaton, cost_model: CostModel
    ) -> None:
        """Take a model, and the automaton whose states requests name."""
        self._model = model
        self._cost_model = cost_model
        self._selector = TokenSelector(automaton, OutputHead(model))
        self._cache = RaggedCache(0, 0)
        self._hidden = torch.empty(0)

    def begin(self, prefix: TokenIds, slots: int, length: int) -> None:
        """Clear the cache, compute the shared prefix, and allocate the slots."""
        self._cache = RaggedCache(slots, length)
        if prefix:
            hidden_states(self._model, prefix, range(len(prefix)), PrefixPass(self._cache))

    def run(self, batch: Batch) -> list[int]:
        """Return the likeliest allowed token for each request, or ``NOT_FINITE``."""
        self._cache.copy(batch.copies)
        rows_pass = RowsPass(self._cache, batch, self._cost_model)
        self._hidden = hidden_states(self._model, batch.tokens, batch.positions, rows_pass)
        return self._selector.select(self._hidden, batch.requests)

    def log_probs(self, requests: Sequence[NextTokenRequest]) -> torch.Tensor:
        """Return log-probabilities of the last pass, before the constraint.

        Shape (requests, vocabulary).
        """
        positions = on_device([request.token for request in requests], self._hidden.device)
        return self._selector.head.logits(self._hidden[positions]).log_softmax(-1)


def hidden_states(
    model: "PreTrainedModel",
    tokens: Sequence[int],
    positions: Sequence[int],
    attention_pass: AttentionPass,
) -> torch.Tensor:
    """Return the last hidden states of the tokens of a pass, shape (tokens, hidden size)."""
    device = model.get_input_embeddings().weight.device
    output = model.get_decoder()(
        input_ids=on_device([tokens], device),
        position_ids=on_device([positions], device),
        use_cache=False,
        ragged=attention_pass,
    )
    hidden: torch.Tensor = output.last_hidden_state[0]
    return hidden


@contextmanager
def ragged(model: "PreTrainedModel") -> Iterator[None]:
    """Let the model attend with the present pass; restore its attention afterwards."""
    before = model.config._attn_implementation  # noqa: SLF001  # there is no public getter
    with collected_messages():  # a model without such attention is told so by its logits
        model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        with collected_messages():
            model.set_attn_implementation(before)
