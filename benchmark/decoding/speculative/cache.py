"""Keys and values: of the shared prefix, kept once, and of each sequence, in a slot."""

import math
import mmap
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import torch

from benchmark.decoding.speculative.batch import CacheCopy


class KeyValues(NamedTuple):
    """Keys and values, shape (slots, key heads, length, head dimension) each."""

    keys: torch.Tensor
    values: torch.Tensor

    def view(self, slots: slice, length: int) -> "KeyValues":
        """Return a view of the first ``length`` tokens of some slots."""
        return KeyValues(self.keys[slots, :, :length], self.values[slots, :, :length])

    def expand(self, count: int) -> "KeyValues":
        """Return a view that repeats a single slot ``count`` times."""
        keys, values = (tensor.expand(count, -1, -1, -1) for tensor in self)
        return KeyValues(keys, values)


_BLOCK = 32
"""Keys in a block: numbers of 16 bit in a cache line of 64 bytes."""


_PRIVATE: dict[str, Any] = (
    {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if os.name == "posix" else {}
)
"""How pages are asked for that no other process shares; Windows has no such flags."""


class RaggedCache:
    """Keys and values by layer, on the device of the layer.

    A slot is read up to the length of its sequence. What rejected drafts or earlier sequences
    left beyond it is never read and is overwritten next.
    """

    def __init__(self, slots: int, length: int) -> None:
        """Set the number of slots and their length in tokens.

        A layer's slots are allocated as a whole when its first keys arrive: a cache that does not
        fit on a GPU fails before anything is decoded. On a CPU pages are allocated when they are
        first written to; see :meth:`bytes_of_slots`.
        """
        self._slots = slots
        self._length = length
        self._behind = -length % _BLOCK
        """Tokens behind the last one that fill its block."""
        self.prefix: dict[int, KeyValues] = {}
        self._own: dict[int, KeyValues] = {}
        self._in_blocks: dict[int, KeyValues] = {}
        self._in_pairs: dict[int, KeyValues] = {}
        self._prefix_in_blocks: dict[int, KeyValues] = {}
        self._prefix_in_pairs: dict[int, KeyValues] = {}

    def store_prefix(self, layer: int, keys: torch.Tensor, values: torch.Tensor) -> KeyValues:
        """Store the keys and values of the prefix, shape (key heads, tokens, head dimension)."""
        self.prefix[layer] = KeyValues(keys[None].contiguous(), values[None].contiguous())
        for converted in (self._prefix_in_blocks, self._prefix_in_pairs):
            converted.pop(layer, None)
        return self.prefix[layer]

    def prefix_length(self, layer: int) -> int:
        """Return how many tokens the prefix has, of a layer that stores it."""
        return self.prefix[layer].keys.shape[2] if layer in self.prefix else 0

    def bytes_of_slots(self) -> int:
        """Return the memory of all slots, written to their end.

        Only layers that have a prefix are counted: without one it is 0.
        """
        a_token = sum(one[0, :, 0].nbytes for own in self.prefix.values() for one in own)
        return self._slots * (self._length + self._behind) * a_token

    def first_row(self, slot: int, heads: int) -> int:
        """Return the row of a slot's first position in a layer with this many key heads."""
        return slot * heads * self._length

    def row_indices(self, slots: torch.Tensor, positions: torch.Tensor, heads: int) -> torch.Tensor:
        """Return where :meth:`store` writes positions of slots, shape (writes * key heads,).

        Rows of a layer's cache are in the order slot, key head, position. With 2 key heads and
        length 10, position 3 of slot 1 has the rows 1 * 2 * 10 + 3 = 23 and 23 + 10 = 33.
        """
        first = (slots * heads * self._length + positions)[:, None]
        per_head = torch.arange(heads, device=slots.device) * self._length
        return (first + per_head).flatten()

    def store(
        self, layer: int, keys: torch.Tensor, values: torch.Tensor, rows: torch.Tensor
    ) -> KeyValues:
        """Write keys and values, shape (writes, key heads, head dimension), to cache rows."""
        if layer not in self._own:
            self._own[layer] = self._allocate(keys.shape[1], keys)
        own = self._own[layer]
        for cached, new in zip(own, (keys, values), strict=True):
            cached.flatten(0, 2).index_copy_(0, rows, new.flatten(0, 1))
        return own

    def in_blocks(self, layer: int, heads: int, like: torch.Tensor) -> KeyValues:
        """Return a layer's slots with keys of shape (slots, key heads, blocks, head dimension, 32).

        Position 70 is column 6 of block 2. Values have shape (slots, key heads, length, head
        dimension). The caller writes to them. A layer is stored in this way or by :meth:`store`.
        """
        if layer not in self._in_blocks:
            keys, values = self._allocate(heads, like, self._behind)
            blocks = keys.view(*keys.shape[:2], -1, like.shape[-1], _BLOCK)
            self._in_blocks[layer] = KeyValues(blocks, values)
        return self._in_blocks[layer]

    def prefix_in_blocks(self, layer: int, heads: int, like: torch.Tensor) -> KeyValues:
        """Return a layer's prefix in the form of :meth:`in_blocks` with one slot, in float32.

        Its values are not padded. Without a prefix there are no blocks and no values.
        """
        if layer not in self._prefix_in_blocks:
            keys, values = self._prefix(layer, heads, like)
            padded = _whole_blocks(keys.float())
            shape = (1, heads, padded.shape[2] // _BLOCK, _BLOCK, like.shape[-1])
            blocks = padded.view(shape).transpose(3, 4).contiguous()
            self._prefix_in_blocks[layer] = KeyValues(blocks, values.float())
        return self._prefix_in_blocks[layer]

    def in_pairs(self, layer: int, heads: int, like: torch.Tensor) -> KeyValues:
        """Return a layer's slots as :meth:`in_blocks`, with pairs of numbers next to one another.

        Keys have shape (slots, key heads, blocks, head dimension / 2, 32, 2): of position 70, the
        dimensions 10 and 11 are at [2, 5, 6]. Values have shape (slots, key heads, length / 2, head
        dimension, 2): of positions 70 and 71, dimension 10 is at [35, 10].
        """
        if layer not in self._in_pairs:
            keys, values = self._allocate(heads, like, self._behind)
            width = like.shape[-1]
            self._in_pairs[layer] = KeyValues(
                keys.view(*keys.shape[:2], -1, width // 2, _BLOCK, 2),
                values.view(*values.shape[:2], -1, width, 2),
            )
        return self._in_pairs[layer]

    def prefix_in_pairs(self, layer: int, heads: int, like: torch.Tensor) -> KeyValues:
        """Return a layer's prefix in the form of :meth:`in_pairs` with one slot.

        Behind its last token are zeros up to the end of a block. Without a prefix there are no
        blocks.
        """
        if layer not in self._prefix_in_pairs:
            keys, values = map(_whole_blocks, self._prefix(layer, heads, like))
            length, width = keys.shape[2:]
            keys = keys.view(1, heads, length // _BLOCK, _BLOCK, width // 2, 2).transpose(3, 4)
            values = values.view(1, heads, length // 2, 2, width).transpose(3, 4)
            self._prefix_in_pairs[layer] = KeyValues(keys.contiguous(), values.contiguous())
        return self._prefix_in_pairs[layer]

    def copy(self, copies: Sequence[CacheCopy]) -> None:
        """Copy the first positions of slots to other slots, in order."""
        stored = list(self._tensors())
        for source, target, length in copies:
            for tensor, positions in stored:
                # What is copied behind the length is written before it is read.
                count = -(-length // positions)
                tensor[target, :, :count] = tensor[source, :, :count]

    def _tensors(self) -> Iterator[tuple[torch.Tensor, int]]:
        """Yield all tensors of the slots, with how many positions an index of a head has."""
        yield from ((tensor, 1) for own in self._own.values() for tensor in own)
        for tokens, layers in ((1, self._in_blocks), (2, self._in_pairs)):
            for own in layers.values():
                yield own.keys, _BLOCK
                yield own.values, tokens

    def _prefix(self, layer: int, heads: int, like: torch.Tensor) -> KeyValues:
        """Return a layer's prefix; one of no tokens if there is none."""
        nothing = like.new_empty(1, heads, 0, like.shape[-1])
        return self.prefix.get(layer, KeyValues(nothing, nothing))

    def _allocate(self, heads: int, like: torch.Tensor, more: int = 0) -> KeyValues:
        # Zeroed: masked keys get weight zero, and zero times garbage could be NaN.
        shape = (self._slots, heads, self._length + more, like.shape[-1])
        return KeyValues(_zeros(shape, like), _zeros(shape, like))


def _whole_blocks(tensor: torch.Tensor) -> torch.Tensor:
    """Return keys or values with zeros behind the last token, up to the end of its block."""
    return torch.nn.functional.pad(tensor, (0, 0, 0, -tensor.shape[2] % _BLOCK))


def _zeros(shape: Sequence[int], like: torch.Tensor) -> torch.Tensor:
    """Return zeros of the type and on the device of another tensor.

    On a CPU the system allocates a page when it is first written to, where torch would write zeros
    to all of them. Few sequences are as long as their slot.

    Raises:
        MemoryError: if the system has no room for the pages.
    """
    if like.device.type != "cpu":
        return like.new_zeros(shape)
    size = math.prod(shape) * like.element_size()
    try:
        # Private: of shared memory, a page is allocated as soon as it is read.
        pages = mmap.mmap(-1, size, **_PRIVATE)
    except OSError as error:
        raise MemoryError(f"no room for {size / 1e9:.1f} GB of keys or values") from error
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        with suppress(OSError):  # a kernel without large pages
            pages.madvise(mmap.MADV_NOHUGEPAGE)
    return torch.frombuffer(pages, dtype=like.dtype).view(*shape)
