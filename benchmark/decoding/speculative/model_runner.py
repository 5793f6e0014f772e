"""Runs the passes of the speculative engine on a transformers model."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from benchmark.decoding.speculative.automaton import Automaton
from benchmark.decoding.speculative.batch import Batch, NextTokenRequest
from benchmark.decoding.speculative.cache import RaggedCache
from benchmark.decoding.speculative.cost_model import CostModel
from benchmark.decoding.speculative.linears import packed_linears
from benchmark.decoding.speculative.matmul_backends import MatmulBackend
from benchmark.decoding.speculative.passes import NAME, AttentionPass, PrefixPass, RowsPass
from benchmark.decoding.speculative.token_selection import OutputHead, TokenSelector
from benchmark.decoding.speculative.transfers import on_device
from benchmark.models.hardware import free_memory
from benchmark.models.library_messages import collected_messages
from benchmark.records import TokenIds

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from benchmark.decoding.speculative.fused.passes import FusedKernels

_UNPADDED = 32
"""Passes of at most this many tokens are not padded: there are few different ones."""


class ModelRunner:
    """A model with the cache of one run; use it under :func:`ragged`."""

    def __init__(
        self,
        model: "PreTrainedModel",
        automaton: Automaton,
        cost_model: CostModel,
        fused: "FusedKernels | None" = None,
        row_multiple: int = 1,
    ) -> None:
        """Take a model, and the automaton whose states requests name.

        With ``fused`` the runner is used under its ``layers`` too. Passes are padded to a multiple
        of ``row_multiple`` tokens; see :func:`padded`.
        """
        self._model = model
        self._cost_model = cost_model
        self._fused = fused
        self._row_multiple = row_multiple
        self._selector = TokenSelector(automaton, OutputHead(model), fused)
        self._cache = RaggedCache(0, 0)
        self._hidden = torch.empty(0)

    def begin(self, prefix: TokenIds, slots: int, length: int) -> None:
        """Clear the cache, compute the shared prefix, and set the number of slots.

        Raises:
            MemoryError: if several slots would take more than the free memory of a CPU, as far as
                the prefix shows their size.
        """
        self._cache = RaggedCache(slots, length)
        if prefix:
            hidden_states(self._model, prefix, range(len(prefix)), PrefixPass(self._cache))
        # The system would end the process, without an error, when the memory is written to.
        needed = self._cache.bytes_of_slots()
        if slots > 1 and self._model.device.type == "cpu" and needed > free_memory():
            raise MemoryError(f"{slots} prompts need {needed / 1e9:.1f} GB for keys and values")

    def run(self, batch: Batch) -> list[int]:
        """Return the likeliest allowed token for each request, or ``NOT_FINITE``."""
        self._cache.copy(batch.copies)
        batch = padded(batch, self._row_multiple)
        rows_pass = RowsPass(self._cache, batch, self._cost_model, fused=self._fused)
        self._hidden = hidden_states(self._model, batch.tokens, batch.positions, rows_pass)
        return self._selector.select(self._hidden, batch.requests)

    def log_probs(self, requests: Sequence[NextTokenRequest]) -> torch.Tensor:
        """Return log-probabilities of the last pass, before the constraint.

        Shape (requests, vocabulary).
        """
        positions = on_device([request.token for request in requests], self._hidden.device)
        return self._selector.head.logits(self._hidden[positions]).log_softmax(-1)


def padded(batch: Batch, multiple: int) -> Batch:
    """Return a batch of a multiple of ``multiple`` tokens: the last token is repeated.

    The additional tokens are in no sequence. Some matrix products are prepared for a number of
    rows, which takes longer than the rows that are added. Batches of at most 32 tokens are left as
    they are.
    """
    extra = -len(batch.tokens) % multiple
    if not extra or len(batch.tokens) <= _UNPADDED:
        return batch
    return replace(
        batch,
        tokens=[*batch.tokens, *batch.tokens[-1:] * extra],
        positions=[*batch.positions, *batch.positions[-1:] * extra],
    )


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
def prepared_runner(
    model: "PreTrainedModel",
    automaton: Automaton,
    cost_model: CostModel,
    backend: MatmulBackend | None,
    fused: "FusedKernels | None",
) -> Iterator[ModelRunner]:
    """Let the model use a backend's products, ragged attention and kernels; restore it afterwards.

    Without ``backend`` or ``fused`` its own products or layers remain.
    """
    with ExitStack() as stack:
        stack.enter_context(packed_linears(model, backend))
        stack.enter_context(ragged(model))
        if fused:
            stack.enter_context(fused.layers(model))
        row_multiple = backend.row_multiple if backend else 1
        yield ModelRunner(model, automaton, cost_model, fused, row_multiple)


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
