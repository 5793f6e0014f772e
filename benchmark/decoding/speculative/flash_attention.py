"""Attention on a GPU by torch's flash kernel for sequences of different lengths.

A layer needs two calls of the kernel, over the slots and over the shared prefix, and a merge by
their softmax normalizers. Scores are never rounded to 16 bit, and nothing is padded. Whether the
kernel can be used is found out by :mod:`benchmark.decoding.speculative.flash_choice`; otherwise
passes take the plain path of :mod:`benchmark.decoding.speculative.attention`.

The kernel is torch's ``_flash_attention_forward``. With ``cum_seq_q`` and ``cum_seq_k``, the
sequences are packed one after another, and entry b of a batch has the queries from
``cum_seq_q[b]`` to ``cum_seq_q[b + 1]`` and the keys from ``cum_seq_k[b]`` on, as many as
``seqused_k[b]`` says. Causal masks and windows are aligned at the end: the last query sees the last
key. (Source: flash_attn/flash_api.cpp of PyTorch, ``mha_varlen_fwd``.)
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from benchmark.decoding.speculative.attention import (
    Mask,
    PartialAttention,
    ScoreParameters,
    merge,
    partial_attention,
)
from benchmark.decoding.speculative.attention_plans import HeadCounts, visible
from benchmark.decoding.speculative.batch import Batch
from benchmark.decoding.speculative.cache import KeyValues, RaggedCache
from benchmark.decoding.speculative.transfers import on_device

Operator = Callable[..., tuple[torch.Tensor, ...]]
"""A function with the signature of ``torch.ops.aten._flash_attention_forward``."""

_SHORTEST = 2
"""The least value of ``max_q``: for 1 the kernel takes another path, with another normalizer."""


@dataclass(frozen=True, slots=True)
class Packing:
    """Sequences as the kernel takes them; the tensors are int32.

    Attributes:
        query_starts: the first query of each sequence and the end of the last, (sequences + 1,).
        key_starts: the row of each sequence's first key, and one more, (sequences + 1,).
        key_counts: how many keys each has, (sequences,); None if they end where the next begin.
        most_queries: of a sequence.
        most_keys: of a sequence.
    """

    query_starts: torch.Tensor
    key_starts: torch.Tensor
    key_counts: torch.Tensor | None
    most_queries: int
    most_keys: int


@dataclass(frozen=True, slots=True)
class FlashPlan:
    """The indices of a pass, which all layers of a kind share.

    Attributes:
        sources: the tokens whose keys and values are written, shape (writes,); None for all
            tokens in order.
        targets: the cache rows that they are written to, shape (writes * key heads,).
        slots: each span of the pass with its slot's keys.
        prefix: the whole pass as one sequence with the prefix's keys.
        prefix_mask: which prefix tokens each token sees; None if each sees all of them.
    """

    sources: torch.Tensor | None
    targets: torch.Tensor
    slots: Packing
    prefix: Packing
    prefix_mask: Mask | None


def plan_flash(
    batch: Batch, cache: RaggedCache, heads: HeadCounts, window: int | None, device: torch.device
) -> FlashPlan:
    """Return the plan of a batch for layers with this sliding window (None: unlimited)."""
    sources, slots, positions = on_device(batch.writes, device).unbind(1)
    starts = [span.start for span in batch.spans]
    counts = [span.position + span.length for span in batch.spans]
    first_rows = [cache.first_row(span.slot, heads.keys) for span in batch.spans]
    tokens = len(batch.tokens)
    in_order = [write.token for write in batch.writes] == list(range(tokens))
    # One copy to the device for all of them.
    parts = [[*starts, tokens], [*first_rows, 0], counts, [0, tokens], [0, batch.prefix]]
    joined = on_device(np.concatenate(parts).astype(np.int32), device)
    ends = np.cumsum([len(part) for part in parts]).tolist()
    query_starts, key_starts, key_counts, all_queries, all_keys = (
        joined[end - len(part) : end] for part, end in zip(parts, ends, strict=True)
    )
    prefix_mask = None
    if window is not None and batch.prefix and max(batch.positions) >= window:
        mask_positions = on_device([batch.positions], device)
        prefix_mask = Mask(visible(mask_positions, batch.prefix, window))
    return FlashPlan(
        None if in_order else sources,
        cache.row_indices(slots, positions, heads.keys),
        Packing(
            query_starts,
            key_starts,
            key_counts,
            max(span.length for span in batch.spans),
            max(counts),
        ),
        Packing(all_queries, all_keys, None, tokens, batch.prefix),
        prefix_mask,
    )


def whole_sequence(tokens: int, device: torch.device) -> Packing:
    """Return the packing of a single sequence whose keys are its own."""
    starts = on_device(np.array([0, tokens], np.int32), device)
    return Packing(starts, starts, None, tokens, tokens)


@dataclass(frozen=True, slots=True)
class FlashKernel:
    """The kernel, called with keys and values as the cache has them.

    Queries and outputs have shape (tokens, heads, head dimension); the normalizers of a
    :class:`PartialAttention` have shape (tokens, heads).
    """

    operator: Operator

    def causal(
        self,
        query: torch.Tensor,
        stored: KeyValues,
        parameters: ScoreParameters,
        packing: Packing,
    ) -> torch.Tensor:
        """Return attention of a single sequence to itself; ``stored`` has a single slot."""
        keys, values = (tensor[0].transpose(0, 1) for tensor in stored)
        return self._call(query, keys, values, parameters, packing, causal=True).output

    def rows(
        self,
        query: torch.Tensor,
        stored: KeyValues,
        prefix: KeyValues | None,
        parameters: ScoreParameters,
        plan: FlashPlan,
    ) -> torch.Tensor:
        """Return attention of a pass's rows to their slots and to the prefix, in float32.

        Without a prefix the output has the dtype of the queries.
        """
        keys, values = (_by_row(tensor) for tensor in stored)
        to_slots = self._call(query, keys, values, parameters, plan.slots, causal=True)
        if prefix is None:
            return to_slots.output
        if plan.prefix_mask is not None:
            # The window ends at another prefix token for each token: the kernel has no such mask.
            return merge(plain_attention(query, prefix, parameters, plan.prefix_mask), to_slots)
        keys, values = (tensor[0].transpose(0, 1) for tensor in prefix)
        to_prefix = self._call(query, keys, values, parameters, plan.prefix, causal=False)
        return merge(to_prefix, to_slots)

    def _call(
        self,
        query: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        parameters: ScoreParameters,
        packing: Packing,
        *,
        causal: bool,
    ) -> PartialAttention:
        window = parameters.window if causal else None
        output, logsumexp, *_ = self.operator(
            query,
            keys,
            values,
            packing.query_starts,
            packing.key_starts,
            max(packing.most_queries, _SHORTEST),
            packing.most_keys,
            0.0,  # no dropout
            causal,
            False,  # noqa: FBT003  # no debug mask; the operator's arguments are positional
            scale=parameters.scaling,
            window_size_left=None if window is None else window - 1,
            window_size_right=None if window is None else 0,
            seqused_k=packing.key_counts,
        )
        return PartialAttention(output, logsumexp.transpose(0, 1))


def _by_row(cached: torch.Tensor) -> torch.Tensor:
    """Return a view of a layer's cache in which the kernel finds each slot's keys, by their row.

    The cache has shape (slots, key heads, length, head dimension). Row r, head h of the view is row
    r + h * length of the flat cache; :meth:`RaggedCache.first_row` has the row of a slot.
    """
    slots, heads, length, width = cached.shape
    rows = (slots * heads - heads + 1) * length
    return cached.as_strided((rows, heads, width), (width, length * width, 1))


def plain_attention(
    query: torch.Tensor, stored: KeyValues, parameters: ScoreParameters, mask: Mask
) -> PartialAttention:
    """Return attention to a single slot by the plain path, in the kernel's shapes."""
    tokens, heads, width = query.shape
    keys = stored.keys.shape[1]
    grouped = query.view(tokens, keys, -1, width).permute(2, 1, 0, 3)
    output, logsumexp = partial_attention(grouped, stored.expand(heads // keys), parameters, mask)
    return PartialAttention(
        output.permute(1, 2, 0, 3).reshape(query.shape),
        logsumexp.permute(1, 2, 0).reshape(tokens, heads),
    )
