"""What a pass writes and reads, as indices on a device: the same for all layers."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.decoding.speculative.attention import Mask
from benchmark.decoding.speculative.batch import Batch, Span
from benchmark.decoding.speculative.cache import RaggedCache
from benchmark.decoding.speculative.cost_model import CostModel


class Heads(NamedTuple):
    """How many key heads a layer has, and how many query heads share each."""

    keys: int
    group: int


@dataclass(frozen=True, slots=True)
class AttentionGroup:
    """Rows whose queries are attended together, padded to the longest.

    Attributes:
        slots: the slots looked at, one next to the other.
        length: how many tokens of them.
        places: how many queries a slot has.
        alone: the tokens of the pass, where they are one row's.
        mask: what queries do not see of it.
    """

    slots: slice
    length: int
    places: int
    alone: slice | None
    mask: Mask

    @property
    def count(self) -> int:
        """How many slots."""
        return int(self.slots.stop - self.slots.start)


@dataclass(frozen=True, slots=True)
class AttentionPlan:
    """A pass as indices.

    Attributes:
        sources: the tokens whose keys and values are written, shape (writes,); None for all in
            their order.
        targets: the rows of the cache that they are written to.
        groups: who is attended together.
        padded: the queries of the groups of several rows, one group after the other, shape
            (queries,): of row * key heads * places of a group, by place; as rows of all heads of
            all tokens.
        given: by head of a group, token and key head, in this order, which of the groups' outputs
            is its; these stand as :class:`benchmark.decoding.speculative.attention.Partial` has
            them.
        prefix_mask: what the tokens do not see of the prefix; None where they see all of it.
    """

    sources: torch.Tensor | None
    targets: torch.Tensor
    groups: list[AttentionGroup]
    padded: torch.Tensor
    given: torch.Tensor
    prefix_mask: Mask | None


def plan(
    batch: Batch,
    cache: RaggedCache,
    pace: CostModel,
    heads: Heads,
    window: int | None,
    device: torch.device,
) -> AttentionPlan:
    """The plan of a batch for layers that see ``window`` tokens, or all where that is None."""
    bundles = _bundles(batch.spans, pace)
    groups = [_group(spans, window, device) for spans in bundles]
    sources, slots, positions = torch.tensor(batch.writes, device=device).unbind(1)
    in_order = [write.token for write in batch.writes] == list(range(len(batch.tokens)))
    prefix_mask = None
    if window is not None and max(batch.positions) >= window:
        asking = torch.tensor([batch.positions], device=device)
        prefix_mask = Mask(seen(asking, batch.prefix, window))
    padded = [
        _padded(spans, group, heads)
        for spans, group in zip(bundles, groups, strict=True)
        if group.alone is None
    ]
    return AttentionPlan(
        None if in_order else sources,
        cache.rows(slots, positions, heads.keys),
        groups,
        torch.from_numpy(np.concatenate([np.empty(0, np.int64), *padded])).to(device),
        torch.from_numpy(_given(bundles, groups, len(batch.tokens), heads)).to(device),
        prefix_mask,
    )


def seen(places: torch.Tensor, length: int, window: int | None) -> torch.Tensor:
    """Which of the first ``length`` places each place sees, shape (..., length)."""
    back = places[..., None] - torch.arange(length, device=places.device)
    return back >= 0 if window is None else (back >= 0) & (back < window)


def _bundles(spans: Sequence[Span], pace: CostModel) -> list[list[Span]]:
    """Rows with few tokens together with their neighbours, rows with many by themselves."""
    together: defaultdict[int, list[Span]] = defaultdict(list)
    apart: list[list[Span]] = []
    for span in spans:
        if span.length > pace.few:
            apart.append([span])
        else:
            together[span.slot // pace.neighbours].append(span)
    return [*together.values(), *apart]


def _group(spans: Sequence[Span], window: int | None, device: torch.device) -> AttentionGroup:
    """The spans padded, with the slots between theirs, which are asked nothing."""
    first, last = min(span.slot for span in spans), max(span.slot for span in spans)
    slots, places = last + 1 - first, max(span.length for span in spans)
    longest = max(span.position + span.length for span in spans)
    # Padding asks about the first place: anything would do.
    where = np.zeros((slots, places), np.int64)
    for slot, _, length, position in spans:
        where[slot - first, :length] = range(position, position + length)
    mask = Mask(seen(torch.from_numpy(where).to(device), longest, window))
    alone = slice(spans[0].start, spans[0].start + places) if slots == 1 else None
    return AttentionGroup(slice(first, last + 1), longest, places, alone, mask)


def _padded(spans: Sequence[Span], group: AttentionGroup, heads: Heads) -> NDArray[np.int64]:
    """Which rows of all queries, those of a token by head, stand where in a group."""
    # Padding is the first token of the pass: anything would do.
    tokens = np.zeros((group.count, group.places), np.int64)
    for slot, start, length, _ in spans:
        tokens[slot - group.slots.start, :length] = range(start, start + length)
    each = np.arange(heads.keys * heads.group)[:, None]
    return (tokens[:, None] * len(each) + each).ravel()


def _given(
    bundles: Sequence[Sequence[Span]], groups: Sequence[AttentionGroup], tokens: int, heads: Heads
) -> NDArray[np.int64]:
    """Where in the outputs of all groups those of each token are."""
    first, step = (np.zeros(tokens, np.int64) for _ in range(2))
    offset = 0
    for spans, group in zip(bundles, groups, strict=True):
        row = heads.group * group.places
        for slot, start, length, _ in spans:
            here = slice(start, start + length)
            first[here] = offset + (slot - group.slots.start) * row + np.arange(length)
            step[here] = group.places
        offset += group.count * row
    places = first + step * np.arange(heads.group)[:, None]
    return (places[..., None] * heads.keys + np.arange(heads.keys)).ravel()
