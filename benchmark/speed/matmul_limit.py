"""The time of a model's matrix products alone on this machine, by the fastest method here."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch

from benchmark.decoding.constraint import Constraint
from benchmark.decoding.speculative.automaton import Automaton
from benchmark.decoding.speculative.linear_shapes import LinearShapes, Shape, packable_layers
from benchmark.decoding.speculative.linears import PackedLinear, packed_linears
from benchmark.decoding.speculative.matmul_backends import (
    MatmulBackend,
    TorchBackend,
    available,
    candidates,
)
from benchmark.decoding.speculative.matmul_choice import matmul_backend_for
from benchmark.decoding.speculative.matmul_trial import ProductTimes, time_products
from benchmark.errors import ModelError
from benchmark.planning.shape import ModelShape
from benchmark.planning.shape import shape as shape_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_ROWS = (96, 256, 512, 1024)
"""How many tokens are multiplied at a time; the fastest counts."""

_BUDGET = 5.0
"""The seconds after which no further samples are taken."""


class MatmulTimes(NamedTuple):
    """Seconds of matrix products.

    Attributes:
        layers: of all layers but the head, per token of a large pass.
        attention: of all layers whose attention has the same window, in tokens, None if it is
            unlimited: per query and key, for the score and the weighted value, at the rate of the
            fastest shape.
        head: of the head, per token of a large pass.
        reading: of all layers but the head for a single token, which is the time of reading
            their weights once.
        products: the names of the backends that were timed.
        disturbed: whether other programs disturbed the timing of layers and head.
    """

    layers: float
    attention: Mapping[int | None, float]
    head: float
    reading: float
    products: tuple[str, ...]
    disturbed: bool


class MatmulTimer:
    """Times the linear layers of a model on random numbers."""

    def __init__(self, model: "PreTrainedModel") -> None:
        """Take the model, which is not changed."""
        self._model = model
        self._shapes = LinearShapes.of(model)
        self._shape = _shape(model)
        self._backends = _backends(model, self._shapes)

    def seconds(self) -> MatmulTimes:
        """Return the best times: of each shape, over all backends and numbers of rows."""
        sizes = [(shape, _ROWS) for shape in sorted(self._shapes.distinct)]
        times = time_products(self._backends, sizes, self._model.dtype, self._model.device, _BUDGET)
        per_row = _best_per_row(times)
        layers = sum(per_row[shape] * count for shape, count in self._shapes.layers.items())
        head = per_row[self._shapes.head] if self._shapes.head else 0.0
        attention = self._attention(per_row)
        names = tuple(self._backends)
        return MatmulTimes(
            layers, attention, head, self._reading(), names, disturbed=not times.clear
        )

    def _attention(self, per_row: Mapping[Shape, float]) -> dict[int | None, float]:
        """Return the seconds per query and key by window.

        With 9 heads of dimension 64 they take 2 * 9 * 64 multiplications in a layer. For an
        architecture whose heads cannot be counted there are none, and the limit is lower.
        """
        if self._shape is None:
            return {}
        rates = (seconds / (out * into) for (out, into), seconds in per_row.items())
        fastest = min(rates, default=0.0)
        a_layer = 2 * self._shape.heads * self._shape.head_dim * fastest
        return {window: a_layer * n for window, n in Counter(self._shape.windows).items()}

    def _reading(self) -> float:
        """Return the seconds of all layers for one token, as they are and packed."""
        head = self._model.get_output_embeddings()
        layers = [m for m in packable_layers(self._model, self._model.dtype) if m is not head]
        with torch.inference_mode():
            own = self._clock([(layer, layer.in_features) for layer in layers])
            with packed_linears(self._model, matmul_backend_for(self._model, 1)):
                packed = self._clock(list(_packed(self._model, set(layers))))
        return min(own, packed)

    def _clock(self, layers: Sequence[tuple[torch.nn.Module, int]]) -> float:
        inputs = {width: self._draw(width) for _, width in layers}

        def run() -> float:
            started = time.perf_counter()
            for layer, width in layers:
                layer(inputs[width])
            if self._model.device.type == "cuda":
                torch.cuda.synchronize(self._model.device)
            return time.perf_counter() - started

        return min(run() for _ in range(3))

    def _draw(self, width: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(0)
        return torch.randn(1, width, generator=generator).to(self._model.device, self._model.dtype)


def _shape(model: "PreTrainedModel") -> ModelShape | None:
    """Return the shape of a model; None if it cannot be counted."""
    try:
        return shape_of(model.config)
    except ModelError:
        return None


def _best_per_row(times: ProductTimes) -> dict[Shape, float]:
    """Return the shortest time per row for each shape, over all backends and numbers of rows."""
    best: dict[Shape, float] = {}
    for product, seconds in times.seconds.items():
        per_row = seconds / product.rows
        best[product.shape] = min(per_row, best.get(product.shape, per_row))
    return best


def _backends(model: "PreTrainedModel", shapes: LinearShapes) -> dict[str, MatmulBackend]:
    """Return every backend that is available on the model's device."""
    on_cpu = available(candidates(model.dtype), shapes) if model.device.type == "cpu" else {}
    return on_cpu or {"torch": TorchBackend()}


def _packed(
    model: torch.nn.Module, layers: set[torch.nn.Linear]
) -> Iterator[tuple[torch.nn.Module, int]]:
    """Yield what computes these layers now, packed or not, and the widths of the inputs."""
    packed = {m.dense: m for m in model.modules() if isinstance(m, PackedLinear)}
    yield from ((packed.get(layer, layer), layer.in_features) for layer in layers)


def choice_counter(
    constraint: Constraint, token_bytes: Mapping[int, bytes]
) -> Callable[[Sequence[int]], int]:
    """Return a function that counts the positions of an answer, its end included, with a choice.

    A position has a choice if several tokens are allowed there.
    """
    automaton = Automaton.from_constraint(constraint, token_bytes)

    def count(answer: Sequence[int]) -> int:
        state, choices = 0, 0
        for token in answer:
            choices += automaton.single_token[state] is None
            state = automaton.transitions[state][token]
        return choices + (automaton.single_token[state] is None)

    return count
