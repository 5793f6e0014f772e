"""The passes of the speculative engine through a transformers model.

transformers' own code runs everything but the attention. That is a function registered under its
own name, which hands each layer's queries, keys and values to the present pass.
"""

from typing import TYPE_CHECKING, Protocol

import torch
from transformers import AttentionInterface

from benchmark.decoding.speculative.attention import (
    Mask,
    PartialAttention,
    ScoreParameters,
    merge,
    partial_attention,
)
from benchmark.decoding.speculative.attention_plans import (
    AttentionPlan,
    HeadCounts,
    plan_attention,
    visible,
)
from benchmark.decoding.speculative.batch import Batch
from benchmark.decoding.speculative.cache import KeyValues, RaggedCache
from benchmark.decoding.speculative.cost_model import CostModel
from benchmark.decoding.speculative.flash_attention import (
    FlashKernel,
    FlashPlan,
    plan_flash,
    whole_sequence,
)
from benchmark.decoding.speculative.flash_choice import (
    AttentionChoice,
    LayerKind,
    attention_choice,
)
from benchmark.decoding.speculative.transfers import on_device
from benchmark.errors import ModelError

if TYPE_CHECKING:
    from benchmark.decoding.speculative.fused.operations import FusedPlan
    from benchmark.decoding.speculative.fused.passes import FusedKernels

NAME = "ragged"

_HARMLESS = frozenset({"dropout", "position_ids", "use_cache"})
"""Arguments of attention functions that change nothing when decoding."""


class AttentionPass(Protocol):
    """Computes attention in all layers while tokens go through a model."""

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        parameters: ScoreParameters,
    ) -> torch.Tensor:
        """Return the attention output, shape (tokens, heads, head dimension).

        ``query`` has shape (tokens, heads, head dimension), ``key`` and ``value`` have shape (key
        heads, tokens, head dimension).
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
    """Compute attention as transformers calls it, for a batch of one packed sequence.

    Raises:
        ModelError: if the model's attention has a feature that is not implemented here.
    """
    unknown = {name for name, value in others.items() if value is not None} - _HARMLESS
    if attention_mask is not None:
        unknown.add("a mask of its own")
    if unknown:
        raise ModelError(f"its attention has {', '.join(sorted(unknown))}")
    parameters = ScoreParameters(scaling, softcap, sliding_window)
    layer = int(module.layer_idx)  # type: ignore[arg-type]  # Module types attributes as modules
    output = ragged.attend(layer, query[0].transpose(0, 1), key[0], value[0], parameters)
    return output[None], None


AttentionInterface.register(NAME, ragged_attention)


class PrefixPass:
    """The shared prefix: every token sees those before it."""

    def __init__(self, cache: RaggedCache) -> None:
        """Take the cache that will hold the prefix."""
        self._cache = cache
        self._masks: dict[tuple[torch.device, int | None], Mask] = {}

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        parameters: ScoreParameters,
    ) -> torch.Tensor:
        """Attend causally, and store keys and values."""
        stored = self._cache.store_prefix(layer, key, value)
        if kernel := _choice(query, key, parameters).kernel:
            packing = whole_sequence(len(query), query.device)
            return kernel.causal(query, stored, parameters, packing)
        kind = query.device, parameters.window
        if kind not in self._masks:
            positions = torch.arange(len(query), device=query.device)
            self._masks[kind] = Mask(visible(positions[None], len(query), parameters.window))
        heads = _head_counts(query, key)
        grouped = _by_group(query, heads)
        attention = partial_attention(
            grouped, stored.expand(heads.group), parameters, self._masks[kind]
        )
        return _by_token(attention.output, query)


class RowsPass:
    """Sequences in their slots, after the shared prefix."""

    def __init__(
        self,
        cache: RaggedCache,
        batch: Batch,
        cost_model: CostModel,
        kernels: set[str] | None = None,
        fused: "FusedKernels | None" = None,
    ) -> None:
        """Prepare a batch.

        ``kernels`` gets the names of the attention kernels that are used on a GPU; ``fused`` are
        the kernels for a CPU.
        """
        self._fused = fused
        self._fused_plan: FusedPlan | None = None
        self._kernels = set() if kernels is None else kernels
        self._flash_plans: dict[tuple[torch.device, int | None, HeadCounts], FlashPlan] = {}
        self._cache = cache
        self._batch = batch
        self._cost_model = cost_model
        self._plans: dict[tuple[torch.device, int | None, HeadCounts], AttentionPlan] = {}
        self._prefix_masks: dict[tuple[torch.device, int], Mask] = {}

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        parameters: ScoreParameters,
    ) -> torch.Tensor:
        """Write keys and values into the slots, and attend to prefix and slots."""
        choice = _choice(query, key, parameters)
        if choice.name:
            self._kernels.add(choice.name)
        if choice.kernel:
            return self._attend_by_kernel(choice.kernel, layer, query, key, value, parameters)
        query = query.contiguous()
        if self._fused and self._fused.takes(query, parameters):
            return self._attend_fused(self._fused, layer, query, key, value, parameters)
        heads = _head_counts(query, key)
        plan = self._plan(query.device, parameters.window, heads)
        stored = self._write(layer, key, value, plan)
        to_slots = _attend_to_slots(query, stored, parameters, plan, heads)
        to_prefix = self._attend_to_prefix(layer, query, heads, parameters)
        if to_prefix is None:
            return _by_token(to_slots.output, query)
        return _by_token(merge(to_prefix, to_slots), query)

    def _attend_to_prefix(
        self, layer: int, query: torch.Tensor, heads: HeadCounts, parameters: ScoreParameters
    ) -> PartialAttention | None:
        """Return attention to the prefix, if there is one; rows are the heads of a group."""
        prefix = self._cache.prefix.get(layer)
        if prefix is None:
            return None
        mask = self._prefix_mask(query.device, parameters.window)
        return partial_attention(
            _by_group(query, heads), prefix.expand(heads.group), parameters, mask
        )

    def _prefix_mask(self, device: torch.device, window: int | None) -> Mask | None:
        """Return which prefix tokens each token sees; None if each sees all of them."""
        if window is None or max(self._batch.positions) < window:
            return None
        kind = device, window
        if kind not in self._prefix_masks:
            positions = on_device([self._batch.positions], device)
            self._prefix_masks[kind] = Mask(visible(positions, self._batch.prefix, window))
        return self._prefix_masks[kind]

    def _attend_fused(
        self,
        fused: "FusedKernels",
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        parameters: ScoreParameters,
    ) -> torch.Tensor:
        if self._fused_plan is None:
            self._fused_plan = fused.plan(self._batch)
        return fused.attend(
            query,
            KeyValues(key.transpose(0, 1), value.transpose(0, 1)),
            self._cache,
            layer,
            self._fused_plan,
            parameters,
        )

    def _attend_by_kernel(
        self,
        kernel: FlashKernel,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        parameters: ScoreParameters,
    ) -> torch.Tensor:
        kind = query.device, parameters.window, _head_counts(query, key)
        if kind not in self._flash_plans:
            device, window, heads = kind
            self._flash_plans[kind] = plan_flash(self._batch, self._cache, heads, window, device)
        plan = self._flash_plans[kind]
        stored = self._write(layer, key, value, plan)
        prefix = self._cache.prefix.get(layer)
        return kernel.rows(query, stored, prefix, parameters, plan).to(query.dtype)

    def _write(
        self, layer: int, key: torch.Tensor, value: torch.Tensor, plan: AttentionPlan | FlashPlan
    ) -> KeyValues:
        """Write the pass's keys and values to the slots; return all slots."""
        keys, values = key.transpose(0, 1), value.transpose(0, 1)
        if plan.sources is not None:
            keys, values = (tensor.index_select(0, plan.sources) for tensor in (keys, values))
        return self._cache.store(layer, keys, values, plan.targets)

    def _plan(self, device: torch.device, window: int | None, heads: HeadCounts) -> AttentionPlan:
        kind = device, window, heads
        if kind not in self._plans:
            self._plans[kind] = plan_attention(
                self._batch, self._cache, self._cost_model, heads, window, device
            )
        return self._plans[kind]


def _attend_to_slots(
    query: torch.Tensor,
    stored: KeyValues,
    parameters: ScoreParameters,
    plan: AttentionPlan,
    heads: HeadCounts,
) -> PartialAttention:
    """Attend to the slots; the result is laid out like that of the prefix, by head of a group."""
    width = query.shape[-1]
    padded = query.view(-1, width).index_select(0, plan.query_indices)
    outputs, logsumexps, offset = [], [], 0
    for group in plan.groups:
        slots = stored.view(group.slots, group.key_length)
        if group.tokens is not None:
            queries = _by_group(query[group.tokens], heads)
            attention = partial_attention(
                queries, slots.expand(heads.group), parameters, group.mask
            )
        else:
            rows = group.count * heads.keys * heads.group * group.width
            queries = padded[offset : offset + rows].view(group.count, heads.keys, -1, width)
            attention = partial_attention(queries, slots, parameters, group.mask, heads.group)
            offset += rows
        outputs.append(attention.output.reshape(-1, width))
        logsumexps.append(attention.logsumexp.reshape(-1))
    shape = (heads.group, len(query), heads.keys)
    return PartialAttention(
        torch.cat(outputs).index_select(0, plan.output_indices).view(*shape, width),
        torch.cat(logsumexps).index_select(0, plan.output_indices).view(shape),
    )


def _choice(query: torch.Tensor, key: torch.Tensor, parameters: ScoreParameters) -> AttentionChoice:
    heads = _head_counts(query, key)
    return attention_choice(
        LayerKind(query.device, query.dtype, heads, query.shape[-1], parameters)
    )


def _head_counts(query: torch.Tensor, key: torch.Tensor) -> HeadCounts:
    return HeadCounts(key.shape[0], query.shape[1] // key.shape[0])


def _by_group(query: torch.Tensor, heads: HeadCounts) -> torch.Tensor:
    """Return a view of the queries, shape (group, key heads, tokens, head dimension).

    Each head of a group becomes a row; all of these rows have the same keys. With 2 key heads and
    groups of 3, query heads 0, 1, 2 share key head 0: head 4 is group index 1 of key head 1.
    """
    return query.view(len(query), *heads, -1).permute(2, 1, 0, 3)


def _by_token(output: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
    """Return the output in the shape of the queries: the inverse of :func:`_by_group`.

    ``output`` has shape (group, tokens, key heads, head dimension).
    """
    return output.permute(1, 2, 0, 3).reshape(query.shape).to(query.dtype)
