"""Attention over keys in parts, in plain torch operations that run on every device.

A softmax over two sets of keys is the softmax over each, weighed by its sum: the shared prefix
and a row's own tokens are attended apart and merged, so that nothing of the prefix is copied to
any row.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch

from benchmark.decoding.cache import Stored


@dataclass(frozen=True, slots=True)
class Scoring:
    """How a model scores keys: a factor, a soft cap, and a window in tokens, where it has them."""

    scaling: float
    softcap: float | None
    window: int | None


class Partial(NamedTuple):
    """Attention over some of the keys, not yet divided by its sum.

    ``output`` has shape (tokens, key heads, group, head dimension). ``top``, the highest score,
    and ``total``, the sum of exp(score - top), have 1 in place of the last.
    """

    output: torch.Tensor
    top: torch.Tensor
    total: torch.Tensor

    def result(self, dtype: torch.dtype) -> torch.Tensor:
        """The attention, shape (tokens, heads, head dimension)."""
        return (self.output / self.total).flatten(1, 2).to(dtype)


def partial(
    query: torch.Tensor, stored: Stored, scoring: Scoring, mask: torch.Tensor | None
) -> Partial:
    """Attention of queries, shape (rows, places, key heads, group, head dimension).

    Args:
        query: the queries of each row; the heads of a group share a key head.
        stored: the keys and values of each row.
        scoring: how scores are made.
        mask: is added to the scores, shape (rows, places, length).

    Returns:
        The parts, places of one row after those of another as tokens.
    """
    rows, places, heads, group, width = query.shape
    length = stored.keys.shape[2]
    flat = (query * scoring.scaling).transpose(1, 2).reshape(rows * heads, places * group, width)
    keys, values = (each.flatten(0, 1) for each in stored)
    scores = torch.bmm(flat, keys.transpose(1, 2)).float()
    if scoring.softcap is not None:
        scores = torch.tanh(scores / scoring.softcap) * scoring.softcap
    scores = scores.view(rows, heads, places, group, length)
    if mask is not None:
        scores += mask[:, None, :, None]
    top = scores.amax(-1, keepdim=True)
    weights = scores.sub_(top)
    if mask is not None:
        # exp takes several times as long where it underflows; 1e-35 is nothing beside 1.
        weights.clamp_(min=-80)
    weights.exp_()
    total = weights.sum(-1, keepdim=True)
    weighted = weights.view(rows * heads, places * group, length).to(values.dtype)
    output = torch.bmm(weighted, values).view(rows, heads, places, group, width)
    return Partial(*(each.transpose(1, 2).flatten(0, 1) for each in (output, top, total)))


def merge(one: Partial, other: Partial) -> Partial:
    """Attention over both sets of keys."""
    top = torch.maximum(one.top, other.top)
    mine, theirs = (one.top - top).exp(), (other.top - top).exp()
    return Partial(
        one.output * mine + other.output * theirs,
        top,
        one.total * mine + other.total * theirs,
    )


def mask_of(allowed: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """0 where allowed and elsewhere what no score makes up for.

    Finite, so that a part without any allowed key is weighed by zero and not by NaN.
    """
    hidden = torch.zeros(allowed.shape, dtype=dtype, device=allowed.device)
    return hidden.masked_fill_(~allowed, torch.finfo(dtype).min / 4)
