"""Matrix products with weights that are packed once: by MKL, by oneDNN, in another precision.

Which is the fastest depends on the processor; ``matmul_choice`` tries them.
bfloat16 is faster than float32 on processors with bfloat16 instructions and slower on others,
which widen the numbers in every product: there they can be widened once, when they are packed.
Packed weights that cannot be unpacked are kept in addition to the model's own, if they fit.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import NamedTuple, Protocol

import torch

from benchmark.decoding.speculative.linear_shapes import LinearShapes, Shape
from benchmark.models.hardware import cpu_kind, has_bfloat16_instructions

_ROWS = 128
"""The number of rows that weights are packed for."""

_TESTED_ROWS = (1, 2, 7, 33, 100, 200)
"""Numbers of rows that packed weights are tested with, below and above :data:`_ROWS`."""

_MAX_OUTPUTS = 8192
"""Layers with more outputs are tested with this many: a whole vocabulary takes seconds."""


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
        """Whether weights can be unpacked; otherwise, and for the head, dense ones are kept."""

    @property
    def extra_bytes(self) -> int:
        """Bytes per weight in addition to the model's own weights; for the head see ``unpacks``."""

    @property
    def row_multiple(self) -> int:
        """The number that the rows of a product should be a multiple of."""

    def pack(self, weight: torch.Tensor) -> PackedWeights:
        """Pack weights of shape (out features, in features)."""


class OneDnnBackend:
    """oneDNN's inner product.

    Packed weights replace the dense ones, but for those of the output head, which are kept as well.
    It compiles a kernel for each number of rows. With AMX that takes longer than more rows.
    """

    name = "oneDNN"
    unpacks = True
    extra_bytes = 0
    row_multiple = 16 if cpu_kind() == "amx" else 1

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
    extra_bytes = torch.float32.itemsize
    row_multiple = 1

    def pack(self, weight: torch.Tensor) -> "_MklWeights":
        """Pack weights into MKL's layout."""
        packed = torch.ops.mkl._mkl_reorder_linear_weight(weight, _ROWS)  # noqa: SLF001
        # torch's function reads only the shape of the dense weights.
        return _MklWeights(packed, weight.new_empty(1).expand(weight.shape))


class TorchBackend:
    """torch's own product with the weights as they are."""

    name = "the model's own"
    unpacks = False
    extra_bytes = 0
    row_multiple = 1

    def pack(self, weight: torch.Tensor) -> "_TorchWeights":
        """Return the weights themselves; nothing is copied."""
        return _TorchWeights(weight)


class WidenedBackend:
    """16-bit numbers multiplied as float32: exact products, summed in float32, rounded once."""

    def __init__(self, float32_backend: MatmulBackend) -> None:
        """Take the backend for float32."""
        self.float32_backend = float32_backend
        self.name = f"{float32_backend.name} in float32"
        self.unpacks = False
        self.extra_bytes = torch.float32.itemsize
        self.row_multiple = float32_backend.row_multiple

    def pack(self, weight: torch.Tensor) -> "_WidenedWeights":
        """Pack weights in float32, twice the size."""
        return _WidenedWeights(self.float32_backend.pack(weight.float()))


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


class _TorchWeights(NamedTuple):
    weight: torch.Tensor

    def multiply(self, states: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        return torch.nn.functional.linear(states, self.weight, bias)

    def unpack(self) -> torch.Tensor | None:
        return None


class _WidenedWeights(NamedTuple):
    float32_weights: PackedWeights

    def multiply(self, states: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        wide = None if bias is None else bias.float()
        return self.float32_weights.multiply(states.float(), wide).to(states.dtype)

    def unpack(self) -> torch.Tensor | None:
        return None


def candidates(dtype: torch.dtype) -> dict[str, MatmulBackend]:
    """Return all backends for a dtype by name, in the order that decides without a trial.

    Empty if there are none, as for float16.
    """
    if dtype == torch.float32:
        return {"mkl": MklBackend(), "onednn": OneDnnBackend(), "torch": TorchBackend()}
    if dtype != torch.bfloat16:
        return {}
    own: dict[str, MatmulBackend] = {"onednn": OneDnnBackend(), "torch": TorchBackend()}
    wide: dict[str, MatmulBackend] = {
        f"{name}-widened": WidenedBackend(backend)
        for name, backend in candidates(torch.float32).items()
    }
    return {**own, **wide} if has_bfloat16_instructions() else {**wide, **own}


def option_name(name: str) -> str:
    """Return what selects the backend with this name, as in ``speculative+mkl``.

    Other text is returned as it is.
    """
    everything = {**candidates(torch.float32), **candidates(torch.bfloat16)}
    return next((option for option, one in everything.items() if one.name == name), name)


def available(
    backends: Mapping[str, MatmulBackend], shapes: LinearShapes
) -> dict[str, MatmulBackend]:
    """Return those of the backends that this processor and torch have for layers of shapes."""
    capped = {(min(outputs, _MAX_OUTPUTS), inputs) for outputs, inputs in shapes.distinct}
    return {
        name: backend
        for name, backend in backends.items()
        if _is_available(backend, shapes.dtype, capped)
    }


def _is_available(backend: MatmulBackend, dtype: torch.dtype, shapes: Iterable[Shape]) -> bool:
    if isinstance(backend, WidenedBackend):
        return _is_available(backend.float32_backend, torch.float32, shapes)
    if isinstance(backend, OneDnnBackend):
        return _has_one_dnn(dtype)
    if isinstance(backend, MklBackend):
        return all(_works_for_any_rows(*shape) for shape in shapes)
    return True


@cache
def _has_one_dnn(dtype: torch.dtype) -> bool:
    """Return whether this processor has the instructions that oneDNN needs."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    backend, weight = OneDnnBackend(), torch.zeros(16, 16, dtype=dtype)
    try:
        backend.pack(weight).multiply(torch.zeros(1, 16, dtype=dtype), None)
    except (AttributeError, RuntimeError):  # what torch raises if instructions are missing
        return False
    return True


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
