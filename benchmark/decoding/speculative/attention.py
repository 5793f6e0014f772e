"""Attention over separate sets of keys, in plain torch operations that run on every device.

The shared prefix and each sequence's own tokens are attended to separately and merged by their
softmax normalizers, so the prefix is never copied per sequence. (The same identity as in
FlashAttention: softmax over two sets of keys is the average of the two softmaxes, weighted by
the sums of their exponentials.)
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch

from benchmark.decoding.speculative.cache import KeyValues

_FUSED = (torch.float32, torch.bfloat16)
"""Dtypes of torch's CPU flash-attention kernel; its masks must be finite, as :class:`Mask`'s."""


@dataclass(frozen=True, slots=True)
class ScoreParameters:
    """How a model scores keys: scaling factor, optional soft cap, optional window in tokens."""

    scaling: float
    softcap: float | None
    window: int | None


class PartialAttention(NamedTuple):
    """Attention over some of the keys.

    ``output`` has shape (rows, queries, key heads, head dimension). ``logsumexp``, the logarithm
    of the sum of exp(score) over these keys, has shape (rows, queries, key heads).
    """

    output: torch.Tensor
    logsumexp: torch.Tensor


class Mask:
    """Which keys each query sees, as an additive bias that all layers of a kind share."""

    def __init__(self, visible: torch.Tensor) -> None:
        """Take a boolean tensor of shape (rows, positions, keys)."""
        self._visible = visible
        self._biases: dict[tuple[int, torch.dtype], torch.Tensor] = {}

    def bias(self, repeats: int, dtype: torch.dtype) -> torch.Tensor:
        """Return the bias to add to scores, shape (rows, 1, repeats * positions, keys).

        It is 0 for visible keys and a large finite negative number elsewhere. It is finite so
        that attention over keys that are all hidden gets weight zero when merged, not NaN.
        """
        if (repeats, dtype) not in self._biases:
            hidden = torch.zeros(self._visible.shape, dtype=dtype, device=self._visible.device)
            hidden.masked_fill_(~self._visible, torch.finfo(dtype).min / 4)
            self._biases[repeats, dtype] = hidden.repeat(1, repeats, 1)[:, None]
        return self._biases[repeats, dtype]


def partial_attention(
    query: torch.Tensor,
    stored: KeyValues,
    parameters: ScoreParameters,
    mask: Mask | None,
    repeats: int = 1,
) -> PartialAttention:
    """Attend to some of the keys.

    Args:
        query: queries grouped by key head, shape (rows, key heads, queries, head dimension).
        stored: the keys and values of each row.
        parameters: how keys are scored.
        mask: which keys each query sees; None if every query sees every key.
        repeats: how many times the mask's positions repeat along the queries. With 3 query heads
            per key head and 2 positions there are 6 queries, in the order p0 p1 p0 p1 p0 p1.
    """
    fusable = query.device.type == "cpu" and query.dtype in _FUSED and parameters.softcap is None
    rows, heads, count, width = query.shape
    if not fusable and rows > 1 and stored.keys.stride(0) == 0:
        # Batched matmul would copy keys that are broadcast over rows; as queries of one row it
        # does not.
        folded = query.transpose(0, 1).reshape(1, heads, rows * count, width)
        single = KeyValues(stored.keys[:1], stored.values[:1])
        joint = partial_attention(folded, single, parameters, mask, repeats * rows)
        return PartialAttention(*(part.view(rows, count, *part.shape[2:]) for part in joint))
    attend = _fused_attention if fusable else _eager_attention
    # The kernel wants the mask in the queries' dtype; the eager scores are float32.
    dtype = query.dtype if fusable else torch.float32
    bias = None if mask is None else mask.bias(repeats, dtype)
    output, logsumexp = attend(query, stored, parameters, bias)
    return PartialAttention(output.transpose(1, 2), logsumexp.transpose(1, 2))


def _fused_attention(
    query: torch.Tensor, stored: KeyValues, parameters: ScoreParameters, bias: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Use torch's CPU kernel, which never holds all scores in memory."""
    output, logsumexp = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(  # noqa: SLF001
        query, *stored, attn_mask=bias, scale=parameters.scaling
    )
    return output, logsumexp


def _eager_attention(
    query: torch.Tensor, stored: KeyValues, parameters: ScoreParameters, bias: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Use operations that every device has."""
    keys, values = stored
    scores = ((query * parameters.scaling) @ keys.transpose(-1, -2)).float()
    if parameters.softcap is not None:
        scores = torch.tanh(scores / parameters.softcap) * parameters.softcap
    if bias is not None:
        scores += bias
    top = scores.amax(-1, keepdim=True)
    # exp is several times slower where it underflows; 1e-35 is negligible next to 1.
    weights = scores.sub_(top).clamp_(min=-80).exp_()
    total = weights.sum(-1, keepdim=True)
    output = (weights.to(values.dtype) @ values) / total
    return output, (top + total.log()).squeeze(-1)


def merge(one: PartialAttention, other: PartialAttention) -> torch.Tensor:
    """Return the output of attention over both sets of keys, in float32."""
    share = torch.sigmoid(other.logsumexp - one.logsumexp)
    return torch.lerp(one.output.float(), other.output.float(), share.float()[..., None])
