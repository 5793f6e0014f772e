"""Linear layers with their weights packed for the fastest multiplication on the CPU.

The weights are the same numbers. The order of summation differs, as it does between batch sizes.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import torch

from benchmark.decoding.speculative.linear_shapes import packable_layers
from benchmark.decoding.speculative.matmul_backends import MatmulBackend

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class PackedLinear(torch.nn.Module):
    """Computes what the linear layer computes that it was made from."""

    def __init__(self, linear: torch.nn.Linear, backend: MatmulBackend) -> None:
        """Pack the weights of a layer on the CPU."""
        super().__init__()
        self.packed = backend.pack(linear.weight.detach())
        self.dense = linear

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Shape (..., in features) to (..., out features)."""
        return self.packed.multiply(states, self.dense.bias)


@contextmanager
def packed_linears(model: "PreTrainedModel", backend: MatmulBackend | None) -> Iterator[None]:
    """Pack the model's linear layers for a backend; restore them afterwards.

    If the backend can unpack weights, the dense copies are dropped meanwhile, except for the
    output head's, whose rows are also read one by one.
    """
    if backend is None:
        yield
        return
    with ExitStack() as stack:
        layers = set(packable_layers(model, model.dtype))
        head = model.get_output_embeddings().weight
        for parent in list(model.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, torch.nn.Linear) and child in layers:
                    stack.enter_context(_swapped(parent, name, child, backend, head))
        yield


@contextmanager
def _swapped(
    parent: torch.nn.Module,
    name: str,
    linear: torch.nn.Linear,
    backend: MatmulBackend,
    head: torch.Tensor,
) -> Iterator[None]:
    replacement = PackedLinear(linear, backend)
    setattr(parent, name, replacement)
    drop_dense = backend.unpacks and linear.weight is not head
    if drop_dense:
        linear.weight.data = linear.weight.data.new_empty(0)
    try:
        yield
    finally:
        # First, so that no layer stays packed if unpacking runs out of memory.
        setattr(parent, name, linear)
        if drop_dense and (weight := replacement.packed.unpack()) is not None:
            linear.weight.data = weight
