"""Matrix products with weights that are packed once: by MKL, by oneDNN, in another precision.

The fastest depends on the processor. In float32 MKL is 1.1 to 1.2 times as fast as oneDNN.
bfloat16 is faster than float32 on processors with bfloat16 instructions and slower on others,
which widen the numbers in every product: there they are widened once, when they are packed.
Packed weights that cannot be unpacked are kept in addition to the model's own, if they fit.
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
"""The number of rows that weights are packed for."""


_TESTED_ROWS = (1, 2, 7, 33, 100, 200)
"""Numbers of rows that packed weights are tested with, below and above :data:`_ROWS`."""

_MAX_OUTPUTS = 8192
"""Layers with more outputs are tested with this many: a whole vocabulary takes seconds."""

_MIN_SPEEDUP = 1.2
"""bfloat16 weights are widened if that is at least this many times as fast, beyond noise."""


class PackedWeights(Protocol):
    """The packed weights of one layer."""

    def multiply(self, states: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """Shape (..., in features) to (..., out features), in the states' dtype."""

    def unpack(self) -> torch.Tensor | None:
        """Return the weights bit for bit, shape (out features, in features), or None."""


class MatmulBackend(Protocol):
    """A way to multiply."""

    @property
    def name(self) -> str:
        """The name in a result: the backend decides the last bits."""

    @property
    def unpacks(self) -> bool:
        """Whether weights can be unpacked; otherwise the dense ones are kept."""

    def pack(self, weight: torch.Tensor) -> PackedWeights:
        """Pack weights of shape (out features, in features)."""


class OneDnnBackend:
    """oneDNN's inner product."""

    name = "oneDNN"
    unpacks = True

    def pack(self, weight: torch.Tensor) -> "_OneDnnWeights":
        """Pack weights into oneDNN's blocked layout."""
        return _OneDnnWeights(torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS))  # noqa: SLF001


class MklBackend:
    """MKL's product in float32.

    MKL documents its packed weights for one number of rows, and torch's function uses them only if
    the number of rows passed to it is that of the states. The layout does not depend on the
    number of rows: :func:`_works_for_any_rows` tests that for every shape of layer.
    """

    name = "MKL"
    unpacks = False

    def pack(self, weight: torch.Tensor) -> "_MklWeights":
        """Pack weights into MKL's layout."""
        packed = torch.ops.mkl._mkl_reorder_linear_weight(weight, _ROWS)  # noqa: SLF001
        # torch's function reads only the shape of the dense weights.
        return _MklWeights(packed, weight.new_empty(1).expand(weight.shape))


class WidenedBackend:
    """16-bit numbers multiplied as float32: exact products, summed in float32, rounded once."""

    def __init__(self, float32_backend: MatmulBackend) -> None:
        """Take the backend for float32."""
        self._float32_backend = float32_backend
        self.name = f"{float32_backend.name} in float32"
        self.unpacks = False

    def pack(self, weight: torch.Tensor) -> "_WidenedWeights":
        """Pack weights in float32, twice the size."""
        return _WidenedWeights(self._float32_backend.pack(weight.float()))


class _OneDnnWeights(NamedTuple):
    blocks: torch.Tensor

    def multiply(self, states: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(  # noqa: SLF001
            states, self.blocks, bias, "none", [], ""
        )
        return result

    def unpack(self) -> torch.Tensor | None:
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

    def unpack(self) -> torch.Tensor | None:
        return None


class _WidenedWeights(NamedTuple):
    float32_weights: PackedWeights

    def multiply(self, states: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        wide = None if bias is None else bias.float()
        return self.float32_weights.multiply(states.float(), wide).to(states.dtype)

    def unpack(self) -> torch.Tensor | None:
        return None


def packable_layers(model: torch.nn.Module, dtype: torch.dtype) -> Iterator[torch.nn.Linear]:
    """Yield the plain linear layers; subclasses, such as quantized ones, compute differently."""
    for layer in model.modules():
        if type(layer) is torch.nn.Linear and layer.weight.dtype == dtype:
            yield layer


def matmul_backend_for(model: "PreTrainedModel") -> MatmulBackend | None:
    """Return the fastest backend for a model here; None to keep its own layers."""
    if model.device.type != "cpu" or model.dtype not in {torch.float32, torch.bfloat16}:
        return None
    limit_kernel_caches()
    layers = list(packable_layers(model, model.dtype))
    # MKL's copy needs as much memory again; it may take half of what is free.
    numbers = sum(layer.weight.numel() for layer in layers)
    fits = 2 * numbers * torch.float32.itemsize < free_memory()
    shapes = {(min(layer.out_features, _MAX_OUTPUTS), layer.in_features) for layer in layers}
    mkl = MklBackend() if fits and all(_works_for_any_rows(*shape) for shape in shapes) else None
    if model.dtype == torch.float32:
        return mkl or _one_dnn_backend(torch.float32)
    return _bfloat16_backend(has_mkl=mkl is not None)


@cache
def _bfloat16_backend(*, has_mkl: bool) -> MatmulBackend | None:
    """Return the backend for bfloat16: by MKL if it is available and clearly faster."""
    one_dnn = _one_dnn_backend(torch.bfloat16)
    if not has_mkl:
        return one_dnn
    widened = WidenedBackend(MklBackend())
    if one_dnn is None or _time_backend(one_dnn) > _MIN_SPEEDUP * _time_backend(widened):
        return widened
    return one_dnn


@cache
def _one_dnn_backend(dtype: torch.dtype) -> MatmulBackend | None:
    """Return oneDNN if this processor has the instructions it needs."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return None
    backend = OneDnnBackend()
    try:
        _pack_random(backend, dtype, 16).multiply(torch.zeros(1, 16, dtype=dtype), None)
    except RuntimeError:  # what torch raises if instructions are missing
        return None
    return backend


@cache
def _works_for_any_rows(outputs: int, inputs: int) -> bool:
    """Test whether weights that MKL packed for one number of rows serve any other."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(outputs, inputs, generator=generator, dtype=torch.float32)
    try:
        packed = MklBackend().pack(weight)
        for rows in _TESTED_ROWS:
            states = torch.randn(rows, inputs, generator=generator, dtype=torch.float32)
            result, expected = packed.multiply(states, None), states @ weight.t()
            if not torch.allclose(result, expected, rtol=1e-4, atol=1e-4 * inputs**0.5):
                return False
    except (AttributeError, RuntimeError):  # no such function, or it refuses
        return False
    return True


def _pack_random(backend: MatmulBackend, dtype: torch.dtype, size: int) -> PackedWeights:
    """Return random packed weights of a square layer."""
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randn(size, size, generator=generator, dtype=torch.float32)
    return backend.pack(numbers.to(dtype))


def _time_backend(backend: MatmulBackend) -> float:
    """Return the seconds of one layer of a small model in bfloat16, the best of six."""
    packed = _pack_random(backend, torch.bfloat16, 1024)
    states = torch.zeros(256, 1024, dtype=torch.bfloat16)
    seconds = []
    for _ in range(6):
        started = time.perf_counter()
        packed.multiply(states, None)
        seconds.append(time.perf_counter() - started)
    return min(seconds)
