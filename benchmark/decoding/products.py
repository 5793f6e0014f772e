"""Ways to multiply with weights that are packed once: by MKL, by oneDNN, in another precision.

Which is the quickest depends on the processor. MKL's is 1.1 to 1.2 times as quick as oneDNN's in
float32. bfloat16 is quicker than float32 where the processor has instructions made for it, and
slower where it has to widen the numbers itself: there they are widened once, when they are packed.
"""

import os
import time
from functools import cache
from typing import TYPE_CHECKING, NamedTuple, Protocol

import psutil
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

_CLEARLY = 1.2
"""So many times as quick must float32 be for bfloat16 weights to be widened: no matter of noise."""


class Packed(Protocol):
    """The weights of one layer, packed."""

    def multiply(self, states: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """Shape (..., in features) to (..., out features), in the states' dtype."""

    def unpacked(self) -> torch.Tensor:
        """The weights as they were, bit for bit, shape (out features, in features)."""


class Product(Protocol):
    """A way to multiply."""

    @property
    def name(self) -> str:
        """What it is called in a result: it decides the last bits."""

    def pack(self, weight: torch.Tensor) -> Packed:
        """Pack weights of shape (out features, in features)."""


class OneDnn:
    """oneDNN's inner product."""

    name = "oneDNN"

    def pack(self, weight: torch.Tensor) -> "_OneDnnWeights":
        """In blocks, as oneDNN likes them."""
        return _OneDnnWeights(torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS))  # noqa: SLF001


class Mkl:
    """MKL's product in float32.

    MKL documents its packed weights for one number of rows, and torch's function goes the long way
    for any other unless it is told that they were packed for as many as come. The layout does not
    depend on the rows: :func:`_takes_any_rows` has it tried.
    """

    name = "MKL"

    def pack(self, weight: torch.Tensor) -> "_MklWeights":
        """As MKL likes them."""
        packed = torch.ops.mkl._mkl_reorder_linear_weight(weight, _ROWS)  # noqa: SLF001
        # Of the weights themselves only the shape is looked at.
        return _MklWeights(packed, weight.new_empty(1).expand(weight.shape))


class Widened:
    """Numbers of 16 bit multiplied as float32: products that are summed whole and rounded once."""

    def __init__(self, within: Product, dtype: torch.dtype) -> None:
        """Take the product in float32, and the dtype outside."""
        self._within = within
        self._dtype = dtype
        self.name = f"{within.name} in float32"

    def pack(self, weight: torch.Tensor) -> "_WidenedWeights":
        """Twice as large as they were."""
        return _WidenedWeights(self._within.pack(weight.float()), self._dtype)


class _OneDnnWeights(NamedTuple):
    blocks: torch.Tensor

    def multiply(self, states: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(  # noqa: SLF001
            states, self.blocks, bias, "none", [], ""
        )
        return result

    def unpacked(self) -> torch.Tensor:
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

    def unpacked(self) -> torch.Tensor:
        # Products with 1 and 0: finite weights come back as they were.
        return self.multiply(torch.eye(self.shape.shape[1]), None).t().contiguous()


class _WidenedWeights(NamedTuple):
    within: Packed
    dtype: torch.dtype

    def multiply(self, states: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        wide = None if bias is None else bias.float()
        return self.within.multiply(states.float(), wide).to(states.dtype)

    def unpacked(self) -> torch.Tensor:
        # What was widened loses nothing.
        return self.within.unpacked().to(self.dtype)


def product_for(model: "PreTrainedModel") -> Product | None:
    """The quickest product for a model here; None where its own layers are to be left alone."""
    if model.device.type != "cpu" or not _finite(model):
        return None
    if model.dtype == torch.float32:
        return _single()
    if model.dtype == torch.bfloat16:
        return _half(room=_room_to_widen(model))
    return None


def _finite(model: "PreTrainedModel") -> bool:
    """Whether multiplying by 0 gives 0: broken weights are not packed."""
    return all(bool(weight.isfinite().all()) for weight in model.parameters())


def _room_to_widen(model: "PreTrainedModel") -> bool:
    """Whether weights twice as large would take less than half the memory that is free."""
    size = sum(weight.numel() * weight.element_size() for weight in model.parameters())
    free = psutil.virtual_memory().available
    return bool(4 * size < free)


@cache
def _single() -> Product | None:
    """The product in float32."""
    if _takes_any_rows(Mkl()):
        return Mkl()
    return _one_dnn(torch.float32)


@cache
def _half(*, room: bool) -> Product | None:
    """The product in bfloat16."""
    own, single = _one_dnn(torch.bfloat16), _single()
    if single is None or not room:
        return own
    widened = Widened(single, torch.bfloat16)
    if own is None:
        return widened
    return widened if _seconds(own) > _CLEARLY * _seconds(widened) else own


@cache
def _one_dnn(dtype: torch.dtype) -> Product | None:
    """oneDNN, where this processor has the instructions for it."""
    for name, count in _KEPT.items():  # read when the first kernel is made
        os.environ.setdefault(name, count)
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return None
    product = OneDnn()
    try:
        _drawn(product, dtype, 16).multiply(torch.zeros(1, 16, dtype=dtype), None)
    except RuntimeError:  # what torch raises where instructions are lacking
        return None
    return product


def _takes_any_rows(product: Product) -> bool:
    """Whether what is packed for one number of rows serves for others."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(48, 40, generator=generator)
    try:
        packed = product.pack(weight)
        for rows in (1, 2, 7, 16, 33, 100, 129, 300):
            states = torch.randn(rows, 40, generator=generator)
            found = packed.multiply(states, None)
            if not torch.allclose(found, states @ weight.t(), rtol=1e-4, atol=1e-4):
                return False
    except (AttributeError, RuntimeError):  # no such function, or it refuses
        return False
    return True


def _drawn(product: Product, dtype: torch.dtype, size: int) -> Packed:
    """Random weights of a square layer."""
    generator = torch.Generator().manual_seed(0)
    return product.pack(torch.randn(size, size, generator=generator).to(dtype))


def _seconds(product: Product) -> float:
    """Of a layer of a small model in bfloat16, the quickest of a few times."""
    packed = _drawn(product, torch.bfloat16, 1024)
    states = torch.zeros(256, 1024, dtype=torch.bfloat16)
    taken = []
    for _ in range(6):
        started = time.perf_counter()
        packed.multiply(states, None)
        taken.append(time.perf_counter() - started)
    return min(taken)
