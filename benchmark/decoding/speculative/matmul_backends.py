"""Ways to multiply with weights that are packed once: by MKL, by oneDNN, in another precision.

Which is the quickest depends on the processor. MKL's is 1.1 to 1.2 times as quick as oneDNN's in
float32. bfloat16 is quicker than float32 where the processor has instructions made for it, and
slower where it has to widen the numbers itself: there they are widened once, when they are packed.
What cannot be unpacked is held beside the weights, if there is room for it.
"""

import time
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch

from benchmark.models.hardware import free_memory, limit_kernel_caches

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_ROWS = 128
"""For how many rows at a time the layout is chosen."""


_TRIED = (1, 2, 7, 33, 100, 200)
"""Numbers of rows, on both sides of that for which weights are packed."""

_WIDEST = 8192
"""So many outputs are tried of layers that have more: a vocabulary's take seconds."""

_CLEARLY = 1.2
"""So many times as quick must float32 be for bfloat16 weights to be widened: no matter of noise."""


class Packed(Protocol):
    """The weights of one layer, packed."""

    def multiply(self, states: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """Shape (..., in features) to (..., out features), in the states' dtype."""

    def unpacked(self) -> torch.Tensor | None:
        """The weights, bit for bit, shape (out features, in features); None where it cannot."""


class MatmulBackend(Protocol):
    """A way to multiply."""

    @property
    def name(self) -> str:
        """What it is called in a result: it decides the last bits."""

    @property
    def unpacks(self) -> bool:
        """Whether the weights can be had back; where not, they are kept."""

    def pack(self, weight: torch.Tensor) -> Packed:
        """Pack weights of shape (out features, in features)."""


class OneDnn:
    """oneDNN's inner product."""

    name = "oneDNN"
    unpacks = True

    def pack(self, weight: torch.Tensor) -> "_OneDnnWeights":
        """In blocks, as oneDNN likes them."""
        return _OneDnnWeights(torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS))  # noqa: SLF001


class Mkl:
    """MKL's product in float32.

    MKL documents its packed weights for one number of rows, and torch's function goes the long way
    for any other unless it is told that they were packed for as many as come. The layout does not
    depend on the rows: :func:`_takes_any_rows` tries it for every shape of layer.
    """

    name = "MKL"
    unpacks = False

    def pack(self, weight: torch.Tensor) -> "_MklWeights":
        """As MKL likes them."""
        packed = torch.ops.mkl._mkl_reorder_linear_weight(weight, _ROWS)  # noqa: SLF001
        # Of the weights themselves only the shape is looked at.
        return _MklWeights(packed, weight.new_empty(1).expand(weight.shape))


class Widened:
    """Numbers of 16 bit multiplied as float32: products that are summed whole and rounded once."""

    def __init__(self, within: MatmulBackend) -> None:
        """Take the product in float32."""
        self._within = within
        self.name = f"{within.name} in float32"
        self.unpacks = False

    def pack(self, weight: torch.Tensor) -> "_WidenedWeights":
        """Twice as large as they were."""
        return _WidenedWeights(self._within.pack(weight.float()))


class _OneDnnWeights(NamedTuple):
    blocks: torch.Tensor

    def multiply(self, states: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(  # noqa: SLF001
            states, self.blocks, bias, "none", [], ""
        )
        return result

    def unpacked(self) -> torch.Tensor | None:
        return self.blocks.to_dense()


class _MklWeights(NamedTuple):
    packed: torch.Tensor
    shape: torch.Tensor

    def multiply(self, states: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        rows = states.numel() // states.shape[-1]
        result: torch.Tensor = torch.ops.mkl._mkl_linear(  # noqa: SLF001
            states, self.packed, self.shape, bias, rows
        )
        return result

    def unpacked(self) -> torch.Tensor | None:
        return None


class _WidenedWeights(NamedTuple):
    within: Packed

    def multiply(self, states: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        wide = None if bias is None else bias.float()
        return self.within.multiply(states.float(), wide).to(states.dtype)

    def unpacked(self) -> torch.Tensor | None:
        return None


def packable(model: torch.nn.Module, dtype: torch.dtype) -> Iterator[torch.nn.Linear]:
    """The layers that can be packed: subclasses compute something else, as quantized ones do."""
    for layer in model.modules():
        if type(layer) is torch.nn.Linear and layer.weight.dtype == dtype:
            yield layer


def matmul_backend_for(model: "PreTrainedModel") -> MatmulBackend | None:
    """The quickest product for a model here; None where its own layers are to be left alone."""
    if model.device.type != "cpu" or model.dtype not in {torch.float32, torch.bfloat16}:
        return None
    limit_kernel_caches()
    layers = list(packable(model, model.dtype))
    # Beside the weights as much again, and no more than half of what is free.
    numbers = sum(layer.weight.numel() for layer in layers)
    room = 2 * numbers * torch.float32.itemsize < free_memory()
    shapes = {(min(layer.out_features, _WIDEST), layer.in_features) for layer in layers}
    single = Mkl() if room and all(_takes_any_rows(*shape) for shape in shapes) else None
    if model.dtype == torch.float32:
        return single or _one_dnn(torch.float32)
    return _half(widened=single is not None)


@cache
def _half(*, widened: bool) -> MatmulBackend | None:
    """The product in bfloat16, by MKL where that can be had and is clearly quicker."""
    own = _one_dnn(torch.bfloat16)
    if not widened:
        return own
    wide = Widened(Mkl())
    return wide if own is None or _seconds(own) > _CLEARLY * _seconds(wide) else own


@cache
def _one_dnn(dtype: torch.dtype) -> MatmulBackend | None:
    """oneDNN, where this processor has the instructions for it."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return None
    product = OneDnn()
    try:
        _drawn(product, dtype, 16).multiply(torch.zeros(1, 16, dtype=dtype), None)
    except RuntimeError:  # what torch raises where instructions are lacking
        return None
    return product


@cache
def _takes_any_rows(outputs: int, inputs: int) -> bool:
    """Whether what MKL packs for one number of rows serves for others, in layers of this shape."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(outputs, inputs, generator=generator, dtype=torch.float32)
    try:
        packed = Mkl().pack(weight)
        for rows in _TRIED:
            states = torch.randn(rows, inputs, generator=generator, dtype=torch.float32)
            found, right = packed.multiply(states, None), states @ weight.t()
            if not torch.allclose(found, right, rtol=1e-4, atol=1e-4 * inputs**0.5):
                return False
    except (AttributeError, RuntimeError):  # no such function, or it refuses
        return False
    return True


def _drawn(product: MatmulBackend, dtype: torch.dtype, size: int) -> Packed:
    """Random weights of a square layer."""
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randn(size, size, generator=generator, dtype=torch.float32)
    return product.pack(numbers.to(dtype))


def _seconds(product: MatmulBackend) -> float:
    """Of a layer of a small model in bfloat16, the quickest of a few times."""
    packed = _drawn(product, torch.bfloat16, 1024)
    states = torch.zeros(256, 1024, dtype=torch.bfloat16)
    taken = []
    for _ in range(6):
        started = time.perf_counter()
        packed.multiply(states, None)
        taken.append(time.perf_counter() - started)
    return min(taken)
