"""Exponentials of rows of bfloat16 numbers, by instructions of AVX-512; import it only with Numba.

They have a relative error of 3e-6, which is a thousandth of what rounding to bfloat16 may change.
"""

from collections.abc import Callable
from math import e, log2
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from benchmark.decoding.speculative.fused.compilation import (
    intrinsic,
    overload,
    target_features,
)
from benchmark.decoding.speculative.fused.vectors import CHAINS, LANES, VectorCode

FEATURES = frozenset({"+avx512f", "+avx512dq", "+avx512bf16"})
"""The instruction sets."""

_COEFFICIENTS = (0.0135206031, 0.0520374291, 0.241427496, 0.693006635, 1.0000025)
"""Of the fourth power of r down to 1: 2**r for r from 0 to 1, fitted to its relative error."""

_ALL, _TO_FLOOR, _AS_USUAL = ir.IntType(16)(-1), ir.IntType(32)(9), ir.IntType(32)(4)
"""What AVX-512's instructions take: a mask of 16 numbers, and ways to round."""


class _BFloat(ir.Type):  # type: ignore[misc]  # llvmlite has no annotations
    """LLVM's type of bfloat16 numbers, which llvmlite lacks."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BFloat)

    def __hash__(self) -> int:
        return hash(_BFloat)


def _repeated(code: VectorCode, number: float) -> Any:
    return code.repeated(ir.FloatType()(number))


def _power_of_two(code: VectorCode, exponents: Any) -> Any:
    """Write the instructions of 2 to the power of each number; 0 for -inf, and NaN for NaN.

    2**t is 2**n * 2**r, with n the largest whole number that is at most t.
    """
    instruction, zeros = "x86.avx512.mask.{}.ps.512", _repeated(code, 0.0)
    kind = ir.FunctionType(
        code.floats, [code.floats, _AS_USUAL.type, code.floats, _ALL.type, _AS_USUAL.type]
    )
    rest = code.call(
        instruction.format("reduce"), kind, exponents, _TO_FLOOR, zeros, _ALL, _AS_USUAL
    )
    power = _repeated(code, _COEFFICIENTS[0])
    for coefficient in _COEFFICIENTS[1:]:
        power = code.multiply_add(power, rest, _repeated(code, coefficient))
    kind = ir.FunctionType(code.floats, [*[code.floats] * 3, _ALL.type, _AS_USUAL.type])
    return code.call(instruction.format("scalef"), kind, power, exponents, zeros, _ALL, _AS_USUAL)


def _rounded(code: VectorCode, builder: Any, numbers: Any) -> Any:
    """Write the instruction that rounds numbers to bfloat16, and return their bits."""
    narrow = builder.fptrunc(numbers, ir.VectorType(_BFloat(), LANES))
    return builder.bitcast(narrow, code.halves)


def _store(code: VectorCode, builder: Any, bits: Any, start: Any) -> None:
    builder.store(bits, builder.bitcast(start, code.halves.as_pointer()), align=2)


def _rows(context: Any, builder: Any, kinds: Any, values: Any) -> list[Any]:
    """Return rows that are arguments, so that code can be written for what is in them."""
    pairs = zip(kinds, values, strict=True)
    return [context.make_array(kind)(context, builder, value) for kind, value in pairs]


def _vectors(builder: Any, row: Any) -> Any:
    """Return how many vectors a row has; the numbers behind them are not counted."""
    length = builder.extract_value(row.shape, 0)
    return builder.udiv(length, length.type(LANES))


@intrinsic
def weigh(_context: object, scores: Any, _top: object, _scaling: object, weights: Any) -> object:
    """Put the exponentials of a row of scores into a row of weights, and return their sum.

    Each is that of (score - top) * scaling, and rounded to a bfloat16; the sum is of those that are
    not rounded. Both rows have the same length, a multiple of 16. Of a score that is NaN the sum is
    NaN, and the weight is not defined.
    """
    number = types.float32

    def generate(context: Any, builder: Any, _signature: object, arguments: Any) -> object:
        code, whole = VectorCode(context, builder), context.get_value_type(types.intp)
        source, top, scaling, target = arguments
        start, goal = _rows(context, builder, (scores, weights), (source, target))
        factor = builder.fmul(scaling, ir.FloatType()(log2(e)))
        shift = code.repeated(builder.fneg(builder.fmul(top, factor)))
        factors = code.repeated(factor)
        sums = [code.variable(_repeated(code, 0.0)) for _ in range(CHAINS)]

        def step(index: Any, result: Any) -> None:
            place = [builder.mul(index, whole(LANES))]
            (part,) = code.load(builder.gep(start.data, place))
            powers = _power_of_two(code, code.multiply_add(part, factors, shift))
            builder.store(code.add(builder.load(result), powers), result)
            _store(code, builder, _rounded(code, builder, powers), builder.gep(goal.data, place))

        code.chains(_vectors(builder, start), sums, step)
        return code.joined(sums, VectorCode.add)

    return number(scores, number, number, weights), generate


def _gate_vectors(*, is_gelu: bool) -> Callable[..., int]:
    """Return a function that gates the vectors of a row, and returns how many numbers these are."""

    @intrinsic
    def gate(_context: object, gates: Any, ups: Any) -> object:
        """Put the product of activated gates and ups in place of the gates."""

        def generate(context: Any, builder: Any, _signature: object, arguments: Any) -> object:
            code, whole = VectorCode(context, builder), context.get_value_type(types.intp)
            rows = _rows(context, builder, (gates, ups), arguments)
            vectors = _vectors(builder, rows[0])
            with cgutils.for_range(builder, vectors) as loop:
                place = builder.mul(loop.index, whole(LANES))
                starts = [builder.gep(row.data, [place]) for row in rows]
                (number,), (up,) = (code.load(start, is_bfloat16=True) for start in starts)
                inner = number
                if is_gelu:
                    square = builder.fmul(number, number)
                    cubic = builder.fmul(_repeated(code, 0.044715), square)
                    inner = builder.fmul(
                        _repeated(code, 1.5957691216), code.multiply_add(cubic, number, number)
                    )
                power = _power_of_two(code, builder.fmul(_repeated(code, -log2(e)), inner))
                active = builder.fdiv(number, code.add(_repeated(code, 1.0), power))
                active = code.widened(_rounded(code, builder, active))
                _store(code, builder, _rounded(code, builder, builder.fmul(active, up)), starts[0])
            return builder.mul(vectors, whole(LANES))

        return types.intp(gates, ups), generate

    return gate


_silu, _gelu = _gate_vectors(is_gelu=False), _gate_vectors(is_gelu=True)


def gate_vectors(gates: Any, ups: Any, is_gelu: bool) -> Any:
    """Gate the first numbers of a row as :func:`kernels.gate` does, and return how many.

    None in float32, and without the instructions.
    """


@overload(gate_vectors)
def _gate_vectors_overload(gates: Any, ups: Any, is_gelu: Any) -> Any:  # noqa: ARG001
    if isinstance(gates.dtype, types.Float) or not FEATURES.issubset(target_features()):
        return lambda gates, ups, is_gelu: 0  # noqa: ARG005
    return lambda gates, ups, is_gelu: _gelu(gates, ups) if is_gelu else _silu(gates, ups)
