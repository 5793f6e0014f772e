"""The tensor indices of one forward pass, computed once and shared by all layers.

A pass is ragged: each sequence contributes a different number of tokens. Sequences with few
tokens are padded and attended to together; the others are attended to one by one.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.decoding.speculative.attention import Mask
from benchmark.decoding.speculative.batch import Batch, RowSpan
from benchmark.decoding.speculative.cache import RaggedCache
from benchmark.decoding.speculative.cost_model import CostModel
from benchmark.decoding.speculative.transfers import on_device


class HeadCounts(NamedTuple):
    """The number of key heads in a layer, and of query heads per key head."""

    keys: int
    group: int


@dataclass(frozen=True, slots=True)
class AttentionGroup:
    """Sequences attended to together, padded to the one with the most tokens.

    Attributes:
        slots: the cache slots, contiguous.
        key_length: how many tokens of each slot are attended to.
        width: queries per slot, padding included.
        tokens: the pass's tokens, if the group is a single slot; otherwise None.
        mask: which keys each query sees.
    """

    slots: slice
    key_length: int
    width: int
    tokens: slice | None
    mask: Mask

    @property
    def count(self) -> int:
        """The number of slots."""
        return int(self.slots.stop - self.slots.start)


@dataclass(frozen=True, slots=True)
class AttentionPlan:
    """A pass as indices.

    Attributes:
        sources: the tokens whose keys and values are written, shape (writes,); None for all
            tokens in order.
        targets: the cache rows that they are written to.
        groups: the sequences that are attended to together.
        query_indices: for each query slot of the padded groups, the row of the pass's queries
            that fills it; see :func:`_query_indices`.
        output_indices: for each query of the pass, the row of the groups' concatenated outputs
            that holds its result; see :func:`_output_indices`.
    """

    sources: torch.Tensor | None
    targets: torch.Tensor
    groups: list[AttentionGroup]
    query_indices: torch.Tensor
    output_indices: torch.Tensor


def plan_attention(
    batch: Batch,
    cache: RaggedCache,
    cost_model: CostModel,
    heads: HeadCounts,
    window: int | None,
    device: torch.device,
) -> AttentionPlan:
    """Return the plan of a batch for layers with this sliding window (None: unlimited)."""
    grouped_spans = _group_spans(batch.spans, cost_model)
    groups = [_attention_group(spans, window, device) for spans in grouped_spans]
    sources, slots, positions = on_device(batch.writes, device).unbind(1)
    in_order = [write.token for write in batch.writes] == list(range(len(batch.tokens)))
    query_indices = [
        _query_indices(spans, group, heads)
        for spans, group in zip(grouped_spans, groups, strict=True)
        if group.tokens is None
    ]
    output_indices = _output_indices(grouped_spans, groups, len(batch.tokens), heads)
    return AttentionPlan(
        None if in_order else sources,
        cache.row_indices(slots, positions, heads.keys),
        groups,
        on_device(np.concatenate([np.empty(0, np.int64), *query_indices]), device),
        on_device(output_indices, device),
    )


def visible(positions: torch.Tensor, length: int, window: int | None) -> torch.Tensor:
    """Return which of the first ``length`` tokens each position sees, shape (..., length).

    A position sees itself and those before it, up to ``window`` tokens. With a window of 2,
    position 3 of length 5 sees tokens 2 and 3.
    """
    distance = positions[..., None] - torch.arange(length, device=positions.device)
    return distance >= 0 if window is None else (distance >= 0) & (distance < window)


def _group_spans(spans: Sequence[RowSpan], cost_model: CostModel) -> list[list[RowSpan]]:
    """Put spans of few tokens together with neighbouring slots; leave long spans alone.

    With ``few=8`` and ``neighbours=4``, short spans of slots 0, 2, 3 and 5 make the groups
    {0, 2, 3} and {5}: slot // 4 is 0, 0, 0 and 1.
    """
    together: defaultdict[int, list[RowSpan]] = defaultdict(list)
    alone: list[list[RowSpan]] = []
    for span in spans:
        if span.length > cost_model.few:
            alone.append([span])
        else:
            together[span.slot // cost_model.neighbours].append(span)
    return [*together.values(), *alone]


def _attention_group(
    spans: Sequence[RowSpan], window: int | None, device: torch.device
) -> AttentionGroup:
    """Pad the spans, and include the slots between them, whose queries are all padding.

    Slots are made contiguous so that the cache is read by a slice and not copied.
    """
    first, last = min(span.slot for span in spans), max(span.slot for span in spans)
    slots, width = last + 1 - first, max(span.length for span in spans)
    key_length = max(span.position + span.length for span in spans)
    # Padding queries position 0; any position that sees a key would do.
    positions = np.zeros((slots, width), np.int64)
    for slot, _, length, position in spans:
        positions[slot - first, :length] = range(position, position + length)
    mask = Mask(visible(on_device(positions, device), key_length, window))
    tokens = slice(spans[0].start, spans[0].start + width) if slots == 1 else None
    return AttentionGroup(slice(first, last + 1), key_length, width, tokens, mask)


def _query_indices(
    spans: Sequence[RowSpan], group: AttentionGroup, heads: HeadCounts
) -> NDArray[np.int64]:
    """Return which query fills each query slot of a padded group.

    The pass's queries are rows of one matrix: head h of token t is row t * (query heads) + h.
    The result is in the order slot, head, position, shape (slots * query heads * width,).

    Example: 2 query heads, slot 0 with tokens 0 and 1, slot 1 with token 2 (so width 2). The
    tokens by slot are [[0, 1], [2, 0]], where the last 0 is padding, and the result is
    [0, 2, 1, 3, 4, 0, 5, 1]: for slot 0, head 0 of tokens 0 and 1, then head 1 of both.
    """
    # Padding is the first token of the pass; any token would do.
    tokens = np.zeros((group.count, group.width), np.int64)
    for slot, start, length, _ in spans:
        tokens[slot - group.slots.start, :length] = range(start, start + length)
    head = np.arange(heads.keys * heads.group)[:, None]
    return (tokens[:, None] * len(head) + head).ravel()


def _output_indices(
    grouped_spans: Sequence[Sequence[RowSpan]],
    groups: Sequence[AttentionGroup],
    tokens: int,
    heads: HeadCounts,
) -> NDArray[np.int64]:
    """Return where each query's result is in the groups' concatenated outputs.

    A group's output is in the order slot, head within the group of a key head (g), position, key
    head (k). The result is in the order g, token, k, shape (heads.group * tokens * heads.keys,).

    Example: 1 key head, 2 query heads per key head, one group: slot 0 with tokens 0 and 1, slot 1
    with token 2, width 2. Slot 0 takes rows 0 to 3 (g0: tokens 0 and 1; g1: the same), slot 1
    rows 4 to 7 (token 2, padding, token 2, padding). The result is [0, 1, 4, 2, 3, 6].
    """
    first, step = (np.zeros(tokens, np.int64) for _ in range(2))
    offset = 0
    for spans, group in zip(grouped_spans, groups, strict=True):
        rows_per_slot = heads.group * group.width
        for slot, start, length, _ in spans:
            span = slice(start, start + length)
            first[span] = offset + (slot - group.slots.start) * rows_per_slot + np.arange(length)
            step[span] = group.width
        offset += group.count * rows_per_slot
    rows = first + step * np.arange(heads.group)[:, None]
    return (rows[..., None] * heads.keys + np.arange(heads.keys)).ravel()
