"""Random draws that are the same on every platform and with every release of Python and NumPy.

NumPy guarantees the stream of raw bits of a ``BitGenerator``, but not the results of
``Generator.poisson`` or ``Generator.choice`` (NEP 19). The generator of the dataset therefore uses
only the raw bits, and computes everything else from them with integers.
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


class PortableRandom:
    """Uniform integers, Poisson counts and samples from a ``numpy.random.Generator``.

    The generator is read in blocks, so nothing else should draw from it.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        """Take over the generator; its bit generator must produce 64-bit words, as PCG64 does."""
        if isinstance(rng.bit_generator, np.random.MT19937):
            raise SettingError("draws need a bit generator with words of 64 bits, not MT19937")
        self._words = _words(rng)

    def below(self, n: int) -> int:
        """Return an integer, exactly uniform on 0..n-1, by rejection sampling."""
        limit = _WORD - _WORD % n
        word = next(self._words)
        while word >= limit:
            word = next(self._words)
        return word % n

    def poisson(self, mean: int) -> int:
        """Return a Poisson count, by inversion."""
        word = next(self._words)
        return sum(word >= threshold for threshold in _poisson_thresholds(mean))

    def choice(self, items: Sequence[T]) -> T:
        """Return one of the items, uniformly."""
        return items[self.below(len(items))]

    def sample(self, items: Sequence[T], n: int) -> list[T]:
        """Return ``n`` different items in random order; all such lists are equally likely."""
        pool = list(items)
        for i in range(n):
            j = i + self.below(len(pool) - i)
            pool[i], pool[j] = pool[j], pool[i]
        return pool[:n]

    def subset(self, items: Sequence[T]) -> list[T]:
        """Return a non-empty subset, uniform over all of them."""
        return [item for item, bit in zip(items, self._coins(len(items)), strict=True) if bit]

    def _coins(self, n: int) -> list[bool]:
        # Uniform over the non-empty subsets, like fair coins that are all tossed again until at
        # least one is heads.
        mask = 1 + self.below(2**n - 1)
        return [bool(mask >> i & 1) for i in range(n)]


def _words(rng: np.random.Generator) -> Iterator[int]:
    while True:
        yield from rng.bit_generator.random_raw(_BLOCK).tolist()


@cache
def _poisson_thresholds(mean: int) -> tuple[int, ...]:
    """Return the values a 64-bit word must reach for the count to be at least 1, 2, 3, ...

    Decimal arithmetic is used because ``math.exp`` may differ by a bit between platforms.
    """
    with localcontext() as context:
        context.prec = 50
        terms = [Decimal(-mean).exp()]
        while terms[-1] * _WORD >= 1 or len(terms) <= mean:
            terms.append(terms[-1] * mean / len(terms))
        return tuple(int(below * _WORD) for below in accumulate(terms))
