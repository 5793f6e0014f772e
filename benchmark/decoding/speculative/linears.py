"""Linear layers with their weights in the layout that is multiplied fastest, on the CPU.

The weights are the same numbers; the order in which products are summed is not, as little as it
is between two batch sizes.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import torch

from benchmark.decoding.speculative.matmul_backends import MatmulBackend, packable

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class PackedLinear(torch.nn.Module):
    """Gives what the linear layer gives that it was made of."""

    def __init__(self, linear: torch.nn.Linear, product: MatmulBackend) -> None:
        """Pack the weights of a layer on the CPU."""
        super().__init__()
        self.packed = product.pack(linear.weight.detach())
        self.dense = linear

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Shape (..., in features) to (..., out features)."""
        return self.packed.multiply(states, self.dense.bias)


@contextmanager
def packed(model: "PreTrainedModel", product: MatmulBackend | None) -> Iterator[None]:
    """The model with linear layers packed for a product, and as before afterwards.

    Where a product gives weights back none is held twice, but for those that are read one row at a
    time too: the head's.
    """
    if product is None:
        yield
        return
    with ExitStack() as stack:
        layers = set(packable(model, model.dtype))
        head = model.get_output_embeddings().weight
        for parent in list(model.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, torch.nn.Linear) and child in layers:
                    stack.enter_context(_swapped(parent, name, child, product, head))
        yield


@contextmanager
def _swapped(
    parent: torch.nn.Module,
    name: str,
    linear: torch.nn.Linear,
    product: MatmulBackend,
    kept: torch.Tensor,
) -> Iterator[None]:
    replacement = PackedLinear(linear, product)
    setattr(parent, name, replacement)
    alone = product.unpacks and linear.weight is not kept
    if alone:
        linear.weight.data = linear.weight.data.new_empty(0)
    try:
        yield
    finally:
        # First, so that no layer is left packed where unpacking runs out of memory.
        setattr(parent, name, linear)
        if alone and (weight := replacement.packed.unpacked()) is not None:
            linear.weight.data = weight
