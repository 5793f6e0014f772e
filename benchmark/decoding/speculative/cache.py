"""Keys and values of a shared prefix, kept once, and of each row's own tokens, in slots."""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from benchmark.decoding.speculative.batch import Copy


class Stored(NamedTuple):
    """Keys and values, shape (slots, key heads, length, head dimension) each."""

    keys: torch.Tensor
    values: torch.Tensor

    def view(self, slots: slice, length: int) -> "Stored":
        """The first ``length`` tokens of some slots, without a copy."""
        return Stored(self.keys[slots, :, :length], self.values[slots, :, :length])

    def times(self, count: int) -> "Stored":
        """One slot's as those of so many, without a copy."""
        keys, values = (each.expand(count, -1, -1, -1) for each in self)
        return Stored(keys, values)


class RaggedCache:
    """What attention has to look at, by layer, on the device of the layer.

    A slot is written and read up to its row's length: what is left behind there, by rejected
    drafts or by earlier rows, is never read and written over next.
    """

    def __init__(self, slots: int, length: int) -> None:
        """Make room for so many rows of so many tokens when their first keys come.

        All of it at once: what a run takes is the same from its first pass to its last, and where
        it is too much, that is known before anything is decoded.
        """
        self._slots = slots
        self._length = length
        self.prefix: dict[int, Stored] = {}
        self._own: dict[int, Stored] = {}

    def store_prefix(self, layer: int, keys: torch.Tensor, values: torch.Tensor) -> Stored:
        """Keep the keys and values of the prefix, shape (key heads, tokens, head dimension)."""
        self.prefix[layer] = Stored(keys[None].contiguous(), values[None].contiguous())
        return self.prefix[layer]

    def rows(self, slots: torch.Tensor, positions: torch.Tensor, heads: int) -> torch.Tensor:
        """Where positions of slots are for :meth:`store`, shape (writes * key heads,)."""
        places = (slots * heads * self._length + positions)[:, None]
        each = torch.arange(heads, device=slots.device) * self._length
        return (places + each).flatten()

    def store(
        self, layer: int, keys: torch.Tensor, values: torch.Tensor, rows: torch.Tensor
    ) -> Stored:
        """Write keys and values, shape (writes, key heads, head dimension), to rows."""
        if layer not in self._own:
            self._own[layer] = self._room(keys.shape[1], keys)
        own = self._own[layer]
        for room, new in zip(own, (keys, values), strict=True):
            room.flatten(0, 2).index_copy_(0, rows, new.flatten(0, 1))
        return own

    def copy(self, copies: Sequence[Copy]) -> None:
        """Copy the beginnings of slots, one after the other."""
        for own in self._own.values():
            for source, target, length in copies:
                for stored in own:
                    stored[target, :, :length] = stored[source, :, :length]

    def _room(self, heads: int, like: torch.Tensor) -> Stored:
        # Zeroed: what is masked out is multiplied by zero, and must be a number.
        shape = (self._slots, heads, self._length, like.shape[-1])
        return Stored(like.new_zeros(shape), like.new_zeros(shape))
