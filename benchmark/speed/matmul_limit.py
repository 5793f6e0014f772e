"""What a model's matrix products alone take on this machine, by the quickest way known here."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch

from benchmark.decoding.constraint import Constraint
from benchmark.decoding.speculative.automaton import Automaton
from benchmark.decoding.speculative.linears import PackedLinear, packed
from benchmark.decoding.speculative.matmul_backends import matmul_backend_for

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_ROWS = (256, 1024)
"""How many tokens are multiplied at a time: the quicker of these counts."""


class Timed(NamedTuple):
    """Seconds of products.

    Attributes:
        layers: of all layers but the head, a token.
        head: of the head, a token.
        reading: of all layers but the head for one token alone: of reading their weights once.
    """

    layers: float
    head: float
    reading: float


class Products:
    """The linear layers of a model, run by themselves on numbers drawn at random."""

    def __init__(self, model: "PreTrainedModel") -> None:
        """Take the model; it is left as it is."""
        self._model = model

    def seconds(self) -> Timed:
        """The quickest of the sizes and layouts."""
        with torch.inference_mode():
            taken = [self._timed(rows) for rows in _ROWS]
            single = [self._timed(1)]
            with packed(self._model, matmul_backend_for(self._model)):
                taken += [self._timed(rows) for rows in _ROWS]
                single.append(self._timed(1))
        return Timed(
            min(layers for layers, _ in taken),
            min(head for _, head in taken),
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
        act()  # the first time buffers are made
        self._wait()
        started = time.perf_counter()
        act()
        self._wait()
        return time.perf_counter() - started

    def _wait(self) -> None:
        if self._model.device.type == "cuda":
            torch.cuda.synchronize(self._model.device)


def open_choices(
    constraint: Constraint, token_bytes: Mapping[int, bytes]
) -> Callable[[Sequence[int]], int]:
    """Counts the places of an answer, its end included, at which several tokens are allowed."""
    automaton = Automaton.of(constraint, token_bytes)

    def count(answer: Sequence[int]) -> int:
        state, found = 0, 0
        for token in answer:
            found += automaton.only[state] is None
            state = automaton.steps[state][token]
        return found + (automaton.only[state] is None)

    return count


def _linears(model: torch.nn.Module) -> Iterator[tuple[torch.nn.Module, int]]:
    """The linear layers, packed or not, and the widths of their inputs."""
    within = {layer.dense for layer in model.modules() if isinstance(layer, PackedLinear)}
    for layer in model.modules():
        if isinstance(layer, PackedLinear):
            yield layer, layer.dense.in_features
        elif isinstance(layer, torch.nn.Linear) and layer not in within:
            yield layer, layer.in_features
