"""The passes of the speculative engine through a transformers model.

transformers' own code of the model runs all but the attention: that is a function registered
under a name of its own, which hands each layer's queries, keys and values to the present pass.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from transformers import AttentionInterface

from benchmark.decoding.attention import Partial, Scoring, mask_of, merge, partial
from benchmark.decoding.batch import Batch, Span
from benchmark.decoding.cache import RaggedCache
from benchmark.decoding.pace import Pace
from benchmark.errors import ModelError

NAME = "ragged"

_HARMLESS = frozenset({"dropout", "position_ids", "use_cache"})
"""What transformers hands to attention functions that changes nothing when decoding."""


class Pass(Protocol):
    """What attends in the layers while tokens go through a model."""

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scoring: Scoring,
    ) -> torch.Tensor:
        """The attention, shape (tokens, heads, head dimension).

        ``query`` has shape (tokens, heads, head dimension), ``key`` and ``value`` have (key heads,
        tokens, head dimension).
        """


def ragged_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    ragged: Pass,
    scaling: float,
    softcap: float | None = None,
    sliding_window: int | None = None,
    **others: object,
) -> tuple[torch.Tensor, None]:
    """The attention function as transformers calls it, for a batch of one packed sequence.

    Raises:
        ModelError: when the model's attention has a feature that this has not.
    """
    unknown = {name for name, value in others.items() if value is not None} - _HARMLESS
    if unknown:
        raise ModelError(f"its attention has {', '.join(sorted(unknown))}")
    scoring = Scoring(scaling, softcap, sliding_window)
    layer = int(module.layer_idx)  # type: ignore[arg-type]  # Module types attributes as modules
    output = ragged.attend(layer, query[0].transpose(0, 1), key[0], value[0], scoring)
    return output[None], None


AttentionInterface.register(NAME, ragged_attention)


class PrefixPass:
    """The shared prefix by itself: every token sees those before it."""

    def __init__(self, cache: RaggedCache) -> None:
        """Take the cache that is to keep the prefix."""
        self._cache = cache

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scoring: Scoring,
    ) -> torch.Tensor:
        """Attend causally, and keep keys and values."""
        stored = self._cache.store_prefix(layer, key, value)
        places = torch.arange(len(query), device=query.device)
        mask = mask_of(_seen(places[None], len(query), scoring.window))
        return partial(_grouped(query, key)[None], stored, scoring, mask).result(query.dtype)


class RowsPass:
    """Rows with their slots, after the shared prefix.

    Rows with few tokens are attended together with their neighbours, a row with many by itself.
    """

    def __init__(self, cache: RaggedCache, batch: Batch, pace: Pace) -> None:
        """Prepare a batch."""
        self._cache = cache
        self._batch = batch
        together = defaultdict(list)
        self._bundles: list[list[Span]] = []
        for span in batch.spans:
            if span.count > pace.few:
                self._bundles.append([span])
            else:
                together[span.slot // pace.neighbours].append(span)
        self._bundles.extend(together.values())
        self._plans: dict[tuple[torch.device, int | None], _Plan] = {}

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scoring: Scoring,
    ) -> torch.Tensor:
        """Write keys and values into the slots, and attend to prefix and slots."""
        plan = self._plan(query.device, scoring.window)
        new = (each.transpose(0, 1)[plan.sources] for each in (key, value))
        stored = self._cache.store(layer, *new, plan.targets)
        grouped = _grouped(query, key)
        parts = [
            _kept(
                partial(
                    grouped[group.take].view(*group.places.shape, *grouped.shape[1:]),
                    stored.view(group.slots, group.length),
                    scoring,
                    group.mask,
                ),
                group.keep,
            )
            for group in plan.groups
        ]
        own = Partial(*(torch.cat(each)[plan.order] for each in zip(*parts, strict=True)))
        prefix = self._cache.prefix.get(layer)
        if prefix is None:
            return own.result(query.dtype)
        return merge(partial(grouped[None], prefix, scoring, plan.prefix_mask), own).result(query.dtype)

    def _plan(self, device: torch.device, window: int | None) -> "_Plan":
        """The same for all layers on a device with the same window."""
        if (device, window) not in self._plans:
            self._plans[device, window] = self._make_plan(device, window)
        return self._plans[device, window]

    def _make_plan(self, device: torch.device, window: int | None) -> "_Plan":
        batch = self._batch
        bundles = self._bundles
        tokens = [i for spans in bundles for s in spans for i in range(s.start, s.start + s.count)]
        order = sorted(range(len(tokens)), key=tokens.__getitem__)
        writes = torch.tensor(batch.writes, device=device)
        prefix_mask = None
        if window is not None and max(batch.positions) >= window:
            places = torch.tensor([batch.positions], device=device)
            prefix_mask = mask_of(_seen(places, batch.prefix, window))
        return _Plan(
            writes[:, 0],
            (writes[:, 1], writes[:, 2]),
            [_group(spans, window, device) for spans in bundles],
            torch.tensor(order, device=device),
            prefix_mask,
        )


@dataclass(frozen=True, slots=True)
class _Group:
    """Rows whose queries are attended together, padded to the longest.

    Attributes:
        slots: the slots looked at, one next to the other.
        length: how many tokens of them.
        take: which token of the pass is the query at each place, shape (slots * places,).
        places: where each query is in its slot, shape (slots, places); 0 for padding.
        keep: which queries are not padding, as indices into ``take``.
        mask: what queries do not see, shape (slots, places, length).
    """

    slots: slice
    length: int
    take: torch.Tensor
    places: torch.Tensor
    keep: torch.Tensor
    mask: torch.Tensor


@dataclass(frozen=True, slots=True)
class _Plan:
    """A pass as indices: what is written where, and what is attended together.

    Attributes:
        sources: the tokens whose keys and values are written.
        targets: the slots and positions they are written to.
        groups: who is attended together.
        order: the tokens' order, as indices into the groups' one after the other.
        prefix_mask: what the tokens do not see of the prefix, shape (1, tokens, prefix).
    """

    sources: torch.Tensor
    targets: tuple[torch.Tensor, torch.Tensor]
    groups: list[_Group]
    order: torch.Tensor
    prefix_mask: torch.Tensor | None


def _group(spans: Sequence[Span], window: int | None, device: torch.device) -> _Group:
    """The spans padded, with the slots between theirs, which are asked nothing."""
    first, last = min(span.slot for span in spans), max(span.slot for span in spans)
    slots, places = last + 1 - first, max(span.count for span in spans)
    take, where = ([[0] * places for _ in range(slots)] for _ in range(2))
    keep = []
    for slot, start, count, position in spans:
        take[slot - first][:count] = range(start, start + count)
        where[slot - first][:count] = range(position, position + count)
        keep.extend(range((slot - first) * places, (slot - first) * places + count))
    length = max(span.position + span.count for span in spans)
    located = torch.tensor(where, device=device)
    return _Group(
        slice(first, last + 1),
        length,
        torch.tensor(take, device=device).flatten(),
        located,
        torch.tensor(keep, device=device),
        mask_of(_seen(located, length, window)),
    )


def _seen(places: torch.Tensor, length: int, window: int | None) -> torch.Tensor:
    """Which of the first ``length`` places each place sees, shape (..., length)."""
    back = places[..., None] - torch.arange(length, device=places.device)
    return back >= 0 if window is None else (back >= 0) & (back < window)


def _grouped(query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """Queries by the key head they share, shape (tokens, key heads, group, head dimension)."""
    return query.unflatten(1, (key.shape[0], -1))


def _kept(part: Partial, keep: torch.Tensor) -> Partial:
    return Partial(*(each[keep] for each in part))
