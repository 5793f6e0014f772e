"""The passes of the speculative engine through a transformers model.

transformers' own code of the model runs all but the attention: that is a function registered
under a name of its own, which hands each layer's queries, keys and values to the present pass.
"""

from typing import Protocol

import torch
from transformers import AttentionInterface

from benchmark.decoding.attention import Mask, Partial, Scoring, merge, partial
from benchmark.decoding.batch import Batch
from benchmark.decoding.cache import RaggedCache
from benchmark.decoding.pace import Pace
from benchmark.decoding.plans import Plan, plan, seen
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
    if attention_mask is not None:
        unknown.add("a mask of its own")
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
        self._masks: dict[tuple[torch.device, int | None], Mask] = {}

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
        alike = query.device, scoring.window
        if alike not in self._masks:
            places = torch.arange(len(query), device=query.device)
            self._masks[alike] = Mask(seen(places[None], len(query), scoring.window))
        mask = self._masks[alike]
        return partial(_grouped(query, key)[None], stored, scoring, mask).result(query.dtype)


class RowsPass:
    """Rows with their slots, after the shared prefix."""

    def __init__(self, cache: RaggedCache, batch: Batch, pace: Pace) -> None:
        """Prepare a batch."""
        self._cache = cache
        self._batch = batch
        self._pace = pace
        self._plans: dict[tuple[torch.device, int | None], Plan] = {}

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scoring: Scoring,
    ) -> torch.Tensor:
        """Write keys and values into the slots, and attend to prefix and slots."""
        here = self._plan(query.device, scoring.window)
        grouped = _grouped(query, key)
        own = self._own(layer, grouped, (key, value), scoring, here)
        prefix = self._cache.prefix.get(layer)
        if prefix is None:
            return own.result(query.dtype)
        before = partial(grouped[None], prefix, scoring, here.prefix_mask)
        return merge(before, own).result(query.dtype)

    def _own(
        self,
        layer: int,
        grouped: torch.Tensor,
        new: tuple[torch.Tensor, torch.Tensor],
        scoring: Scoring,
        here: Plan,
    ) -> Partial:
        """Attention to the slots, in the order of the tokens."""
        keys, values = (each.transpose(0, 1)[here.sources] for each in new)
        stored = self._cache.store(layer, keys, values, here.slots, here.positions)
        parts = []
        for group in here.groups:
            queries = grouped[group.take].view(*group.shape, *grouped.shape[1:])
            slots = stored.view(group.slots, group.length)
            padded = partial(queries, slots, scoring, group.mask)
            parts.append([each[group.keep] for each in padded])
        return Partial(*(torch.cat(each)[here.order] for each in zip(*parts, strict=True)))

    def _plan(self, device: torch.device, window: int | None) -> Plan:
        if (device, window) not in self._plans:
            self._plans[device, window] = plan(self._batch, self._pace, window, device)
        return self._plans[device, window]


def _grouped(query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """Queries by the key head they share, shape (tokens, key heads, group, head dimension)."""
    tokens, heads, width = query.shape
    return query.reshape(tokens, key.shape[0], heads // key.shape[0], width)
