"""Time matrix-product backends on layers of a model's shapes.

A product takes a millisecond or less. If another program has a processor meanwhile, it takes many
times as long, and the more threads a backend has the longer. Linux says how long the threads
of this process waited for a processor, so such samples are recognized and repeated. With a single
thread the time that it waited is subtracted. Where the system does not say it, the two shortest
samples have to agree.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from benchmark.decoding.speculative.linear_shapes import Shape
from benchmark.decoding.speculative.matmul_backends import MatmulBackend, PackedWeights
from benchmark.models.hardware import waiting_seconds

_SAMPLES = 3
"""The number of undisturbed samples of a product; one is enough if they take too long."""

_BUDGET = 3.0
"""The seconds after which no further samples are taken."""

EVICTED = 2**26
"""Bytes that are written before a product, so that its weights are not in the nearest caches.

In a pass a layer's weights were last used a whole model ago.
"""

VERSION = 2
"""Of how samples are taken: kept trials of other versions are not used."""

_ROUNDS = 20
"""The most samples of a product, of which the budget counts only the time of the product."""

_DISTURBED = 0.05
"""A sample is disturbed if threads waited for more than this share of it."""

_AGREEING = 1.05
"""Samples agree if the longer takes at most this many times as long."""

_HOPELESS = 3.0
"""A product that takes this many times as long as the fastest needs one sample only."""

_MAX_OUTPUTS = 2048
"""Layers with more outputs are timed with this many."""


class Product(NamedTuple):
    """A product to time: the backend's name, the shape of the weights, and the rows."""

    backend: str
    shape: Shape
    rows: int


@dataclass(frozen=True)
class ProductTimes:
    """Seconds of products.

    Attributes:
        seconds: the shortest sample of each product, for all outputs of the layer.
        clear: whether every product has an undisturbed sample.
    """

    seconds: Mapping[Product, float]
    clear: bool


@dataclass
class _Samples:
    """The samples of one product, in seconds; ``unknown`` if the system does not say."""

    clear: list[float] = field(default_factory=list)
    disturbed: list[float] = field(default_factory=list)
    unknown: list[float] = field(default_factory=list)

    def add(self, seconds: float, is_clear: bool | None) -> None:  # noqa: FBT001  # of three values
        """Add a sample; ``is_clear`` is None if the system does not say."""
        lists = {True: self.clear, False: self.disturbed, None: self.unknown}
        lists[is_clear].append(seconds)

    @property
    def shortest(self) -> float:
        """The shortest undisturbed sample, or the shortest of all if none is."""
        return min(self.clear or self.unknown or self.disturbed)

    def enough(self, number: int) -> bool:
        """Return whether this number of samples is undisturbed, as far as the system says."""
        if not self.unknown:
            return len(self.clear) >= number
        if len(self.unknown) < max(number, 2):
            return False
        shortest, second, *_ = sorted(self.unknown)
        return second <= _AGREEING * shortest


def time_products(
    backends: Mapping[str, MatmulBackend],
    sizes: Iterable[tuple[Shape, Sequence[int]]],
    dtype: torch.dtype,
    device: torch.device | str = "cpu",
    budget: float = _BUDGET,
    *,
    evicts: bool = False,
) -> ProductTimes:
    """Time every backend on one layer of each shape with these numbers of rows.

    The samples of all backends are interleaved. Before each of them the product is called once: so
    its kernel exists, of which oneDNN keeps few
    (:func:`benchmark.models.hardware.limit_kernel_caches`), and its weights are in the processor's
    caches. With ``evicts`` these are emptied then. Only undisturbed samples count, except where a
    product has none after ``budget`` seconds of samples, or after :data:`_ROUNDS` of them.
    """
    products = dict(_products(backends, sizes, dtype, torch.device(device)))
    samples, missing = {product: _Samples() for product in products}, list(products)
    with torch.inference_mode():
        scratch = torch.zeros(EVICTED if evicts else 0, dtype=torch.uint8)
        end = time.perf_counter() + budget
        for _ in range(_ROUNDS):
            for product in missing:
                started = time.perf_counter()
                _multiply(*products[product])
                _evict(scratch)
                end += time.perf_counter() - started
                samples[product].add(*_sample(*products[product]))
            missing = list(_missing(samples))
            if not missing or time.perf_counter() > end:
                break
    seconds_of = {
        product: taken.shortest * _scale(product.shape) for product, taken in samples.items()
    }
    # Products of large models take so long that there is time for one sample each.
    return ProductTimes(seconds_of, clear=all(taken.enough(1) for taken in samples.values()))


def _missing(samples: Mapping[Product, _Samples]) -> Iterator[Product]:
    """Yield the products that need more samples."""
    fastest: dict[tuple[Shape, int], float] = {}
    for (_, shape, rows), taken in samples.items():
        shortest = taken.shortest
        fastest[shape, rows] = min(shortest, fastest.get((shape, rows), shortest))
    for product, taken in samples.items():
        best = fastest[product.shape, product.rows]
        hopeless = taken.shortest > _HOPELESS * best
        if not taken.enough(1 if hopeless else _SAMPLES):
            yield product


def _products(
    backends: Mapping[str, MatmulBackend],
    sizes: Iterable[tuple[Shape, Sequence[int]]],
    dtype: torch.dtype,
    device: torch.device,
) -> Iterator[tuple[Product, tuple[PackedWeights, torch.Tensor]]]:
    """Yield each product with packed random weights and states."""
    generator = torch.Generator().manual_seed(0)

    def draw(rows: int, columns: int) -> torch.Tensor:
        numbers = torch.randn(rows, columns, generator=generator, dtype=torch.float32)
        return numbers.to(device, dtype)

    for shape, all_rows in sizes:
        weight = draw(min(shape[0], _MAX_OUTPUTS), shape[1])
        packed = {name: backend.pack(weight) for name, backend in backends.items()}
        for rows in all_rows:
            states = draw(rows, shape[1])
            for name in backends:
                yield Product(name, shape, rows), (packed[name], states)


def _sample(weights: PackedWeights, states: torch.Tensor) -> tuple[float, bool | None]:
    """Return the seconds of one product, and whether they are those of an idle machine.

    That is None if the system does not say how long threads wait.
    """
    # With a single thread it does not matter whether the process's other threads wait.
    is_single = torch.get_num_threads() == 1
    before, started = waiting_seconds(own_thread=is_single), time.perf_counter()
    _multiply(weights, states)
    seconds = time.perf_counter() - started
    after = waiting_seconds(own_thread=is_single)
    if before is None or after is None:
        return seconds, None
    waited = after - before
    if is_single and waited < seconds:
        return seconds - waited, True  # no other thread has waited for this one
    return seconds, waited <= _DISTURBED * seconds


def _multiply(weights: PackedWeights, states: torch.Tensor) -> None:
    """Multiply, and wait for the result."""
    weights.multiply(states, None)
    if states.device.type == "cuda":
        torch.cuda.synchronize(states.device)


def _evict(scratch: torch.Tensor) -> None:
    scratch.add_(1)


def _scale(shape: Shape) -> float:
    return max(1.0, shape[0] / _MAX_OUTPUTS)
