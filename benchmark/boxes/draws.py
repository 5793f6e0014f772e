"""Random draws that are the same on every platform, Python and NumPy.

NumPy keeps the stream of raw bits of a ``BitGenerator`` fixed for ever, but not what
``Generator.poisson`` or ``Generator.choice`` make of it (NEP 19). So the generator of the
dataset takes the raw bits of the ``Generator`` it is given and makes the rest itself, in
integers.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal, localcontext
from functools import cache
from itertools import accumulate
from typing import TypeVar

import numpy as np

from benchmark.errors import SettingError

T = TypeVar("T")

_WORD = 2**64
_BLOCK = 4096


class Draws:
    """Uniform integers, Poisson counts and samples from a ``numpy.random.Generator``.

    It reads the generator in blocks: nothing else should draw from the same one.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        """Take the generator over; its bit generator must give words of 64 bits, as PCG64 does."""
        if isinstance(rng.bit_generator, np.random.MT19937):
            raise SettingError("draws need a bit generator with words of 64 bits, not MT19937")
        self._words = _words(rng)

    def below(self, n: int) -> int:
        """An integer, uniform on 0..n-1; exactly, by rejection."""
        limit = _WORD - _WORD % n
        word = next(self._words)
        while word >= limit:
            word = next(self._words)
        return word % n

    def poisson(self, mean: int) -> int:
        """A Poisson count, by inversion."""
        word = next(self._words)
        return sum(word >= threshold for threshold in _poisson_thresholds(mean))

    def choice(self, items: Sequence[T]) -> T:
        """One of the items, uniformly."""
        return items[self.below(len(items))]

    def sample(self, items: Sequence[T], n: int) -> list[T]:
        """``n`` different items in random order, every such list as likely as any other."""
        pool = list(items)
        for i in range(n):
            j = i + self.below(len(pool) - i)
            pool[i], pool[j] = pool[j], pool[i]
        return pool[:n]

    def subset(self, items: Sequence[T]) -> list[T]:
        """A non-empty subset: a fair coin an item, thrown again while none is chosen."""
        return [item for item, bit in zip(items, self._coins(len(items)), strict=True) if bit]

    def _coins(self, n: int) -> list[bool]:
        # 1 + below(2^n - 1) is uniform over the non-empty subsets, which is what throwing
        # the coins again until one falls right comes to.
        mask = 1 + self.below(2**n - 1)
        return [bool(mask >> i & 1) for i in range(n)]


def _words(rng: np.random.Generator) -> Iterator[int]:
    while True:
        yield from rng.bit_generator.random_raw(_BLOCK).tolist()


@cache
def _poisson_thresholds(mean: int) -> tuple[int, ...]:
    """The values a 64-bit word must reach for the count to be at least 1, 2, 3, ...

    In decimal arithmetic, since ``math.exp`` may differ by a bit between platforms.
    """
    with localcontext() as context:
        context.prec = 50
        terms = [Decimal(-mean).exp()]
        while terms[-1] * _WORD >= 1 or len(terms) <= mean:
            terms.append(terms[-1] * mean / len(terms))
        return tuple(int(below * _WORD) for below in accumulate(terms))
