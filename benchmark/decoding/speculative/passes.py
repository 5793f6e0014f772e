"""The passes of the speculative engine through a transformers model.

transformers' own code of the model runs all but the attention: that is a function registered
under a name of its own, which hands each layer's queries, keys and values to the present pass.
"""

from typing import Protocol

import torch
from transformers import AttentionInterface

from benchmark.decoding.speculative.attention import Mask, Partial, Scoring, merge, partial
from benchmark.decoding.speculative.attention_plans import AttentionPlan, Heads, plan, seen
from benchmark.decoding.speculative.batch import Batch
from benchmark.decoding.speculative.cache import RaggedCache, Stored
from benchmark.decoding.speculative.cost_model import CostModel
from benchmark.errors import ModelError

NAME = "ragged"

_HARMLESS = frozenset({"dropout", "position_ids", "use_cache"})
"""What transformers hands to attention functions that changes nothing when decoding."""


class AttentionPass(Protocol):
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
    ragged: AttentionPass,
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
        heads = _heads(query, key)
        grouped = _grouped(query, heads)
        found = partial(grouped, stored.times(heads.group), scoring, self._masks[alike])
        return _by_token(found.output, query)


class RowsPass:
    """Rows with their slots, after the shared prefix."""

    def __init__(self, cache: RaggedCache, batch: Batch, pace: CostModel) -> None:
        """Prepare a batch."""
        self._cache = cache
        self._batch = batch
        self._pace = pace
        self._plans: dict[tuple[torch.device, int | None, Heads], AttentionPlan] = {}

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scoring: Scoring,
    ) -> torch.Tensor:
        """Write keys and values into the slots, and attend to prefix and slots."""
        heads = _heads(query, key)
        here = self._plan(query.device, scoring.window, heads)
        query = query.contiguous()
        own = _own(query, self._stored(layer, key, value, here), scoring, here, heads)
        prefix = self._cache.prefix.get(layer)
        if prefix is None:
            return _by_token(own.output, query)
        grouped = _grouped(query, heads)
        before = partial(grouped, prefix.times(heads.group), scoring, here.prefix_mask)
        return _by_token(merge(before, own), query)

    def _stored(
        self, layer: int, key: torch.Tensor, value: torch.Tensor, here: AttentionPlan
    ) -> Stored:
        """The slots, with the keys and values of the pass."""
        keys, values = key.transpose(0, 1), value.transpose(0, 1)
        if here.sources is not None:
            keys, values = (each.index_select(0, here.sources) for each in (keys, values))
        return self._cache.store(layer, keys, values, here.targets)

    def _plan(self, device: torch.device, window: int | None, heads: Heads) -> AttentionPlan:
        alike = device, window, heads
        if alike not in self._plans:
            self._plans[alike] = plan(self._batch, self._cache, self._pace, heads, window, device)
        return self._plans[alike]


def _own(
    query: torch.Tensor, stored: Stored, scoring: Scoring, here: AttentionPlan, heads: Heads
) -> Partial:
    """Attention to the slots, as to a prefix: rows are the heads of a group."""
    width = query.shape[-1]
    padded = query.view(-1, width).index_select(0, here.padded)
    outputs, weights, taken = [], [], 0
    for group in here.groups:
        slots = stored.view(group.slots, group.length)
        if group.alone is not None:
            alone = _grouped(query[group.alone], heads)
            found = partial(alone, slots.times(heads.group), scoring, group.mask)
        else:
            rows = group.count * heads.keys * heads.group * group.places
            several = padded[taken : taken + rows].view(group.count, heads.keys, -1, width)
            found = partial(several, slots, scoring, group.mask, heads.group)
            taken += rows
        outputs.append(found.output.reshape(-1, width))
        weights.append(found.weight.reshape(-1))
    shape = (heads.group, len(query), heads.keys)
    return Partial(
        torch.cat(outputs).index_select(0, here.given).view(*shape, width),
        torch.cat(weights).index_select(0, here.given).view(shape),
    )


def _heads(query: torch.Tensor, key: torch.Tensor) -> Heads:
    return Heads(key.shape[0], query.shape[1] // key.shape[0])


def _grouped(query: torch.Tensor, heads: Heads) -> torch.Tensor:
    """Queries by head of a group, shape (group, key heads, tokens, head dimension), not copied.

    So a head of a group is a row with the same keys as the others.
    """
    return query.view(len(query), *heads, -1).permute(2, 1, 0, 3)


def _by_token(output: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
    """Output by head of a group, token and key head as the queries are, by token and head."""
    return output.permute(1, 2, 0, 3).reshape(query.shape).to(query.dtype)
