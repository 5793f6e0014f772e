"""The time of a model's matrix products alone on this machine, by the fastest method here."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch

from benchmark.decoding.constraint import Constraint
from benchmark.decoding.speculative.automaton import Automaton
from benchmark.decoding.speculative.linears import PackedLinear, packed_linears
from benchmark.decoding.speculative.matmul_backends import matmul_backend_for

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_ROWS = (256, 1024)
"""How many tokens are multiplied at a time; the faster of the two counts."""


class MatmulTimes(NamedTuple):
    """Seconds of matrix products.

    Attributes:
        layers: of all layers but the head, per token of a large pass.
        head: of the head, per token of a large pass.
        reading: of all layers but the head for a single token, which is the time of reading
            their weights once.
    """

    layers: float
    head: float
    reading: float


class MatmulTimer:
    """Times the linear layers of a model on random numbers."""

    def __init__(self, model: "PreTrainedModel") -> None:
        """Take the model, which is not changed."""
        self._model = model

    def seconds(self) -> MatmulTimes:
        """Return the best times over sizes and weight layouts."""
        with torch.inference_mode():
            batched = [self._timed(rows) for rows in _ROWS]
            single = [self._timed(1)]
            with packed_linears(self._model, matmul_backend_for(self._model)):
                batched += [self._timed(rows) for rows in _ROWS]
                single.append(self._timed(1))
        return MatmulTimes(
            min(layers for layers, _ in batched),
            min(head for _, head in batched),
            min(layers for layers, _ in single),
        )

    def _timed(self, rows: int) -> tuple[float, float]:
        head = self._model.get_output_embeddings()
        sizes = dict(_linears(self._model))
        inputs = {size: self._draw(rows, size) for size in set(sizes.values())}

        def run() -> None:
            for layer, size in sizes.items():
                if layer is not head:
                    layer(inputs[size])

        return self._clock(run) / rows, self._clock(lambda: head(inputs[sizes[head]])) / rows

    def _draw(self, rows: int, size: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(0)
        return torch.randn(rows, size, generator=generator).to(
            self._model.device, self._model.dtype
        )

    def _clock(self, act: Callable[[], object]) -> float:
        act()  # the first call allocates buffers
        self._wait()
        started = time.perf_counter()
        act()
        self._wait()
        return time.perf_counter() - started

    def _wait(self) -> None:
        if self._model.device.type == "cuda":
            torch.cuda.synchronize(self._model.device)


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


def _linears(model: torch.nn.Module) -> Iterator[tuple[torch.nn.Module, int]]:
    """Yield the linear layers, packed or not, and the widths of their inputs."""
    dense = {layer.dense for layer in model.modules() if isinstance(layer, PackedLinear)}
    for layer in model.modules():
        if isinstance(layer, PackedLinear):
            yield layer, layer.dense.in_features
        elif isinstance(layer, torch.nn.Linear) and layer not in dense:
            yield layer, layer.in_features
