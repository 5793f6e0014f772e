"""The ways in which the kernels attend: in float32 and bfloat16, by vectors and by AMX's tiles."""

import pytest
import torch

from benchmark.decoding.speculative.fused import operations
from benchmark.decoding.speculative.fused.tiles import can_use_tiles

ATTENTION_KINDS = ("float32", "bfloat16", "bfloat16 by tiles")

ATTENTION_CASES = [
    (kind, width)
    for kind in ATTENTION_KINDS
    for width in (20, 32)
    if width == 32 or "tiles" not in kind  # which fills a tile
]
"""Kinds with dimensions of a head; 20 fills neither a tile nor the vectors of a product."""


def chosen_attention(kind: str, monkeypatch: pytest.MonkeyPatch) -> torch.dtype:
    """Select how the kernels compute attention; return the dtype, or skip the test without AMX."""
    name, _, tiles = kind.partition(" by ")
    if not tiles:
        monkeypatch.setattr(operations, "can_use_tiles", lambda: False)
    elif not can_use_tiles():
        pytest.skip("no tiles: the processor or the system has no AMX")
    dtype: torch.dtype = getattr(torch, name)
    return dtype
