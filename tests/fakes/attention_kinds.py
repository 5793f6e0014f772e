"""The ways in which the kernels attend: in float32 and bfloat16, by vectors and by AMX's tiles."""

import pytest
import torch

from benchmark.decoding.speculative.fused import operations
from benchmark.decoding.speculative.fused.tiles import can_use_tiles

ATTENTION_KINDS = ("float32", "bfloat16", "bfloat16 by tiles")


def chosen_attention(kind: str, monkeypatch: pytest.MonkeyPatch) -> torch.dtype:
    """Let the kernels attend in a way, and return its dtype; skip the test if they cannot."""
    name, _, tiles = kind.partition(" by ")
    if not tiles:
        monkeypatch.setattr(operations, "can_use_tiles", lambda: False)
    elif not can_use_tiles():
        pytest.skip("no tiles: the processor or the system has no AMX")
    dtype: torch.dtype = getattr(torch, name)
    return dtype
