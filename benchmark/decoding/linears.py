"""Linear layers with their weights in the layout that oneDNN multiplies fastest, on the CPU.

The weights are the same numbers; the order in which products are summed is not, as little as it
is between two batch sizes.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_ROWS = 128
"""For how many rows at a time the layout is chosen."""


_KEPT = {"LRU_CACHE_CAPACITY": "64", "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64"}
"""So many kernels are kept by what calls oneDNN, and as many by oneDNN itself.

There is one for each number of rows and kind of layer, hundreds of kilobytes in size, and passes
have another number of rows nearly every time. Unless told both keep 1,024: some 450 MB of kernels
that are not asked for again. Making one takes no time that could be measured.
"""


class PackedLinear(torch.nn.Module):
    """Gives what the linear layer gives that it was made of."""

    def __init__(self, linear: torch.nn.Linear) -> None:
        """Pack the weights of a layer on the CPU."""
        super().__init__()
        self.packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), _ROWS)  # noqa: SLF001
        self.dense = linear

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Shape (..., in features) to (..., out features)."""
        result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(  # noqa: SLF001
            states, self.packed, self.dense.bias, "none", [], ""
        )
        return result


@contextmanager
def packed(model: "PreTrainedModel") -> Iterator[None]:
    """The model with packed linear layers, where that is possible, and as before afterwards.

    No weight is held twice, but for those that are read one row at a time too: the head's.
    """
    if model.device.type != "cpu":
        yield
        return
    for name, count in _KEPT.items():  # read when the first kernel is made
        os.environ.setdefault(name, count)
    if not _packable(model.dtype):
        yield
        return
    with ExitStack() as stack:
        head = model.get_output_embeddings().weight
        for parent in list(model.modules()):
            for name, child in list(parent.named_children()):
                # Subclasses compute something else, such as quantized weights.
                if type(child) is torch.nn.Linear and child.weight.dtype == model.dtype:
                    stack.enter_context(_swapped(parent, name, child, head))
        yield


@contextmanager
def _swapped(
    parent: torch.nn.Module, name: str, linear: torch.nn.Linear, kept: torch.Tensor
) -> Iterator[None]:
    replacement = PackedLinear(linear)
    setattr(parent, name, replacement)
    alone = linear.weight is not kept
    if alone:
        linear.weight.data = linear.weight.data.new_empty(0)
    try:
        yield
    finally:
        # First, so that no layer is left packed where unpacking runs out of memory.
        setattr(parent, name, linear)
        if alone:
            linear.weight.data = replacement.packed.to_dense()


def _packable(dtype: torch.dtype) -> bool:
    """Whether this processor has the instructions for it."""
    if dtype not in (torch.float32, torch.bfloat16) or not _onednn():
        return False
    try:
        layer = PackedLinear(torch.nn.Linear(16, 16, dtype=dtype))
        layer(torch.zeros(1, 16, dtype=dtype))
    except RuntimeError:  # what torch raises where instructions are lacking
        return False
    return True


def _onednn() -> bool:
    return bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]
