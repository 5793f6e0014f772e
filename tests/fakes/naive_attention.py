"""Attention from its definition."""

import torch


def naive_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, window: int | None, scaling: float
) -> torch.Tensor:
    """Return causal attention of a sequence in float64, shapes (tokens, heads, width)."""
    tokens, heads, _ = query.shape
    key, value = (t.double().repeat_interleave(heads // t.shape[1], 1) for t in (key, value))
    distance = torch.arange(tokens)[:, None] - torch.arange(tokens)
    hidden = (distance < 0) if window is None else (distance < 0) | (distance >= window)
    scores = torch.einsum("qhd,khd->hqk", query.double(), key) * scaling
    return torch.einsum("hqk,khd->qhd", scores.masked_fill(hidden, -torch.inf).softmax(-1), value)
