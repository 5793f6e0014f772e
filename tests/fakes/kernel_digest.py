"""A digest of what compiled kernels compute, to compare processes with one another."""

import hashlib
from collections.abc import Sequence
from typing import Any

import torch

from benchmark.decoding.speculative.attention import ScoreParameters
from benchmark.decoding.speculative.batch import Batch
from benchmark.decoding.speculative.cache import RaggedCache
from benchmark.decoding.speculative.cost_model import CostModel
from benchmark.decoding.speculative.fused import (
    kernels,
    operations,
    tile_attention,
    vector_attention,
)
from benchmark.decoding.speculative.fused.passes import FusedKernels
from benchmark.decoding.speculative.fused.tiles import can_use_tiles
from benchmark.decoding.speculative.passes import RowsPass


def kernel_digest() -> str:
    """Return the digest of a norm, of sums and their norm, and of attention, in float32.

    With AMX also of attention in bfloat16, by tiles.
    """
    operations.use_threads()
    generator = torch.Generator().manual_seed(0)
    states, weight = torch.randn(9, 75, generator=generator), torch.randn(75, generator=generator)
    norm = operations.Norm(weight, 1e-6, adds_one=False, rounds=True)
    sums = states.flip(0)
    normed = [norm.normalize(states), norm.add_and_normalize(states, sums), sums]
    tensors = [torch.randn(37, n, 64, generator=generator) for n in (6, 2, 2)]
    attended = [_attended(tensors, torch.float32)]
    if can_use_tiles():
        attended.append(_attended(tensors, torch.bfloat16).float())
    results = [tensor.numpy().tobytes() for tensor in [*normed, *attended]]
    return hashlib.sha256(b"".join(results)).hexdigest()


def _attended(tensors: Sequence[torch.Tensor], dtype: torch.dtype) -> torch.Tensor:
    """Attend from 36 tokens of one sequence, and one of another."""
    query, key, value = (tensor.to(dtype) for tensor in tensors)
    batch = Batch(0)
    batch.add(0, 0, [0] * 36)
    batch.add(1, 0, [0])
    cache, cost_model = RaggedCache(2, 40), CostModel(9, 9, 0, 0, 4, 4)
    return RowsPass(cache, batch, cost_model, fused=FusedKernels()).attend(
        0, query, key.transpose(0, 1), value.transpose(0, 1), ScoreParameters(0.2, None, None)
    )


def kernel_loads() -> list[int]:
    """Return how many of these kernels were loaded, and how many were compiled."""
    used: list[Any] = [kernels.normalize, kernels.add_and_normalize, vector_attention.attend]
    if can_use_tiles():
        used.append(tile_attention.attend)
    counts = [kernel.stats for kernel in used]
    return [
        sum(sum(count.cache_hits.values()) for count in counts),
        sum(sum(count.cache_misses.values()) for count in counts),
    ]
