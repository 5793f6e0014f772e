"""The memory of keys and values."""

import mmap
import sys

import pytest
import torch

from benchmark.decoding.speculative.cache import RaggedCache
from fakes.resident import resident_bytes

DTYPES = (torch.float32, torch.bfloat16)


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
    """It is that of keys and values of all layers, written to their end: whole blocks of 32."""
    cache = RaggedCache(4, 100)
    assert cache.bytes_of_slots() == 0
    for layer, heads in ((0, 3), (1, 2)):
        prefix = torch.zeros(heads, 7, 16, dtype=torch.bfloat16)
        cache.store_prefix(layer, prefix, prefix)
    assert cache.bytes_of_slots() == 4 * 128 * 2 * (3 + 2) * 16 * 2


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_slots_take_memory_when_they_are_written_to() -> None:
    """Of 200 MB none is taken at first, and what is written after that."""
    like = torch.zeros(1)[:, None, None].expand(1, 1, 64)
    before = resident_bytes()
    keys, values = RaggedCache(8, 51_200).in_blocks(0, 1, like)
    assert keys.nbytes + values.nbytes > 200e6
    assert resident_bytes() - before < 20e6
    values[:4].fill_(1)
    assert 45e6 < resident_bytes() - before < 75e6


def test_pages_that_the_system_has_not_are_out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """As an error of memory, after which the batch is halved."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(mmap, "mmap", refuse)
    with pytest.raises(MemoryError, match="no room for"):
        RaggedCache(2, 40).in_blocks(0, 3, torch.ones(3, 5, 8))
