"""Attention over keys in parts, in plain torch operations that run on every device.

A softmax over two sets of keys is the softmax over each, weighed by its sum: the shared prefix
and a row's own tokens are attended apart and merged, so that nothing of the prefix is copied to
any row.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch

from benchmark.decoding.speculative.cache import Stored

_FUSED = (torch.float32, torch.bfloat16)
"""What torch's kernel for the CPU takes with masks that are finite, as :class:`Mask` has them."""


@dataclass(frozen=True, slots=True)
class Scoring:
    """How a model scores keys: a factor, a soft cap, and a window in tokens, where it has them."""

    scaling: float
    softcap: float | None
    window: int | None


class Partial(NamedTuple):
    """Attention over some of the keys.

    ``output`` has shape (rows, queries, key heads, head dimension). ``weight``, the logarithm of
    the sum of exp(score), has no last dimension.
    """

    output: torch.Tensor
    weight: torch.Tensor


class Mask:
    """Which keys queries see, laid out as scores are: once, for all layers that are alike."""

    def __init__(self, allowed: torch.Tensor) -> None:
        """Take what each query sees, shape (rows, places, length)."""
        self._allowed = allowed
        self._laid: dict[tuple[int, torch.dtype], torch.Tensor] = {}

    def laid(self, times: int, dtype: torch.dtype) -> torch.Tensor:
        """What is added to scores, shape (rows, 1, times * places, length).

        0 where allowed and elsewhere what no score makes up for; finite, so that a part without
        any allowed key is weighed by zero and not by NaN.
        """
        if (times, dtype) not in self._laid:
            hidden = torch.zeros(self._allowed.shape, dtype=dtype, device=self._allowed.device)
            hidden.masked_fill_(~self._allowed, torch.finfo(dtype).min / 4)
            self._laid[times, dtype] = hidden.repeat(1, times, 1)[:, None]
        return self._laid[times, dtype]


def partial(
    query: torch.Tensor, stored: Stored, scoring: Scoring, mask: Mask | None, times: int = 1
) -> Partial:
    """Attention of queries, shape (rows, key heads, queries, head dimension).

    Args:
        query: the queries of each row, by the key head that they look at.
        stored: the keys and values of each row.
        scoring: how scores are made.
        mask: what queries do not see, where they do not see all.
        times: how many times the places of the mask stand one after the other in the queries.
    """
    fusable = query.device.type == "cpu" and query.dtype in _FUSED and scoring.softcap is None
    rows, heads, count, width = query.shape
    if not fusable and rows > 1 and stored.keys.stride(0) == 0:
        # Products copy keys that are the same for several rows: as queries of one row they do not.
        folded = query.transpose(0, 1).reshape(1, heads, rows * count, width)
        one = Stored(stored.keys[:1], stored.values[:1])
        found = partial(folded, one, scoring, mask, times * rows)
        return Partial(*(each.view(rows, count, *each.shape[2:]) for each in found))
    attend = _fused if fusable else _plain
    # The kernel wants the queries' own dtype; where scores are made here they are float32.
    dtype = query.dtype if fusable else torch.float32
    laid = None if mask is None else mask.laid(times, dtype)
    output, weight = attend(query, stored, scoring, laid)
    return Partial(output.transpose(1, 2), weight.transpose(1, 2))


def _fused(
    query: torch.Tensor, stored: Stored, scoring: Scoring, mask: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """By torch's kernel for the CPU, which never has all scores in memory."""
    output, weight = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(  # noqa: SLF001
        query, *stored, attn_mask=mask, scale=scoring.scaling
    )
    return output, weight


def _plain(
    query: torch.Tensor, stored: Stored, scoring: Scoring, mask: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """In operations that every device has."""
    keys, values = stored
    scores = ((query * scoring.scaling) @ keys.transpose(-1, -2)).float()
    if scoring.softcap is not None:
        scores = torch.tanh(scores / scoring.softcap) * scoring.softcap
    if mask is not None:
        scores += mask
    top = scores.amax(-1, keepdim=True)
    # exp takes several times as long where it underflows; 1e-35 is nothing beside 1.
    weights = scores.sub_(top).clamp_(min=-80).exp_()
    total = weights.sum(-1, keepdim=True)
    output = (weights.to(values.dtype) @ values) / total
    return output, (top + total.log()).squeeze(-1)


def merge(one: Partial, other: Partial) -> torch.Tensor:
    """The output of attention over both sets of keys, in float32."""
    share = torch.sigmoid(other.weight - one.weight)
    return torch.lerp(one.output.float(), other.output.float(), share.float()[..., None])
