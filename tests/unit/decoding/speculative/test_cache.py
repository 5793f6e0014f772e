"""The memory of keys and values."""

import sys
from pathlib import Path

import pytest
import torch

from benchmark.decoding.speculative.cache import RaggedCache

DTYPES = (torch.float32, torch.bfloat16)


def _resident() -> int:
    """Return the bytes of the process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return 4096 * pages


@pytest.mark.parametrize("dtype", DTYPES)
def test_slots_begin_with_zeros(dtype: torch.dtype) -> None:
    """In the type of the first keys, in both layouts, and they can be written to."""
    keys = torch.ones(3, 5, 8, dtype=dtype)  # 3 key heads, 5 tokens
    cache = RaggedCache(2, 40)
    blocks = cache.in_blocks(0, 3, keys)
    assert (blocks.keys.shape, blocks.values.shape) == ((2, 3, 2, 8, 32), (2, 3, 64, 8))
    new = keys.transpose(0, 1)[:1]
    own = RaggedCache(2, 40).store(0, new, new, torch.tensor([0, 40, 80]))
    assert own.keys.shape == own.values.shape == (2, 3, 40, 8)
    assert own.keys.sum() == own.values.sum() == 3 * 8
    assert not blocks.keys.any()
    assert not blocks.values.any()
    for tensor in (*blocks, *own):
        assert tensor.dtype == dtype
        tensor.fill_(7)
        assert (tensor == 7).all()


def test_the_size_of_the_slots() -> None:
    """It is that of keys and values of all layers, written to their end."""
    cache = RaggedCache(4, 100)
    assert cache.bytes_of_slots() == 0
    for layer, heads in ((0, 3), (1, 2)):
        prefix = torch.zeros(heads, 7, 16, dtype=torch.bfloat16)
        cache.store_prefix(layer, prefix, prefix)
    assert cache.bytes_of_slots() == 4 * 100 * 2 * (3 + 2) * 16 * 2


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_slots_take_memory_when_they_are_written_to() -> None:
    """Of 200 MB none is taken at first, and what is written after that."""
    like = torch.zeros(1)[:, None, None].expand(1, 1, 64)
    before = _resident()
    keys, values = RaggedCache(8, 51_200).in_blocks(0, 1, like)
    assert keys.nbytes + values.nbytes > 200e6
    assert _resident() - before < 20e6
    values[:4].fill_(1)
    assert 45e6 < _resident() - before < 75e6
