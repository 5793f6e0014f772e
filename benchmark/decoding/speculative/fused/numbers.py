"""Numbers in the kernels: float32, and bfloat16 as its bits; import it only with Numba.

bfloat16 numbers come in arrays of uint16, since NumPy has no such type: a bfloat16 is the upper
half of a float32.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from benchmark.decoding.speculative.fused.compilation import intrinsic, overload


@intrinsic
def bits_of(_context: object, _number: object) -> object:
    """Return the bits of a float32, a uint32."""
    signature = types.uint32(types.float32)

    def generate(context: Any, builder: Any, _signature: object, arguments: Any) -> object:
        return builder.bitcast(arguments[0], context.get_value_type(types.uint32))

    return signature, generate


@intrinsic
def _widened(_context: object, _bits: object) -> object:
    """Return the bfloat16 with these bits, a uint16, as a float32."""
    signature = types.float32(types.uint16)

    def generate(context: Any, builder: Any, _signature: object, arguments: Any) -> object:
        word = context.get_value_type(types.uint32)
        bits = builder.shl(builder.zext(arguments[0], word), word(16))
        return builder.bitcast(bits, context.get_value_type(types.float32))

    return signature, generate


def rounded_bits(builder: Any, number: Any) -> Any:
    """Write the instructions that round a float32, or a vector of them, to a bfloat16's bits.

    Adding less than half a unit, and one more if the last bit that stays is set, carries over if
    and only if the number is to be rounded up; of a NaN it may carry over into the sign. All in 32
    bit: Numba would compute in 64, and half as many numbers at a time.
    """
    count = number.type.count if isinstance(number.type, ir.VectorType) else None

    def kind(bits: int) -> Any:
        return ir.VectorType(ir.IntType(bits), count) if count else ir.IntType(bits)

    def constant(value: int) -> Any:
        return ir.Constant(kind(32), [value] * count if count else value)

    bits = builder.bitcast(number, kind(32))
    last = builder.and_(builder.lshr(bits, constant(16)), constant(1))
    carried = builder.add(builder.add(bits, constant(0x7FFF)), last)
    return builder.trunc(builder.lshr(carried, constant(16)), kind(16))


@intrinsic
def _narrowed(_context: object, _number: object) -> object:
    """Return the bits of the bfloat16 nearest to a float32, the even one if two are as near.

    A NaN is cut off instead, with a bit set that keeps it a NaN.
    """
    signature = types.uint16(types.float32)

    def generate(context: Any, builder: Any, _signature: object, arguments: Any) -> object:
        word, half = (context.get_value_type(kind) for kind in (types.uint32, types.uint16))
        upper = builder.lshr(builder.bitcast(arguments[0], word), word(16))
        is_nan = builder.fcmp_unordered("uno", arguments[0], arguments[0])
        cut = builder.trunc(builder.or_(upper, word(0x40)), half)
        return builder.select(is_nan, cut, rounded_bits(builder, arguments[0]))

    return signature, generate


@intrinsic
def multiply_add(_context: object, _one: object, _two: object, _three: object) -> object:
    """Return one * two + three of float32 numbers, rounded once."""
    number = types.float32

    def generate(_target: object, builder: Any, _signature: object, arguments: Any) -> object:
        return builder.fma(*arguments)

    return number(number, number, number), generate


def wide(number: Any) -> Any:
    """Return a float32 or the bits of a bfloat16 as a float32."""


@overload(wide)
def _wide_overload(number: Any) -> Any:
    if isinstance(number, types.Float):
        return lambda number: number
    return lambda number: _widened(number)  # noqa: PLW0108  # Numba takes the name from it


def rounded(number: Any, like: Any) -> Any:
    """Return a float32 rounded to the type of another number."""


@overload(rounded)
def _rounded_overload(number: Any, like: Any) -> Any:  # noqa: ARG001
    if isinstance(like, types.Float):
        return lambda number, like: number  # noqa: ARG005
    return lambda number, like: _narrowed(number)  # noqa: ARG005


_COEFFICIENTS = (
    1.9875691500e-4,
    1.3981999507e-3,
    8.3334519073e-3,
    4.1665795894e-2,
    1.6666665459e-1,
    5.0000001201e-1,
)
"""Of the seventh power of r down to its square."""


@intrinsic
def exp(_context: object, _number: object) -> object:
    """Return e to a float32 of at most 88, to 3 units in the last place.

    It is 0 below -87, and NaN for NaN.
    """
    number = types.float32

    def generate(_target: object, builder: Any, _signature: object, arguments: Any) -> object:
        return exponential(builder, arguments[0])

    return number(number), generate


def fused_multiply_add(builder: Any, one: Any, two: Any, three: Any) -> Any:
    """Write one * two + three of float32 numbers or of vectors of them, rounded once each."""
    kind = one.type
    suffix = f"v{kind.count}f32" if isinstance(kind, ir.VectorType) else "f32"
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(kind, [kind] * 3), f"llvm.fma.{suffix}"
    )
    return builder.call(function, [one, two, three])


def exponential(builder: Any, number: Any) -> Any:
    """Write the instructions of :func:`exp`, for a float32 or a vector of them.

    e**x is 2**n * e**r with n the whole number next to x / ln 2, and r at most ln 2 / 2, for which
    a polynomial does (the coefficients are those of the Cephes library). ln 2 is subtracted in two
    parts, so that r is exact. Adding 1.5 * 2**23 rounds to a whole number, which is then in the
    last bits of the sum: moved to the exponent's place, they make 2**n.
    """
    kind, is_vector = number.type, isinstance(number.type, ir.VectorType)
    words = ir.VectorType(ir.IntType(32), kind.count) if is_vector else ir.IntType(32)

    def constant(value: float, of: Any = kind) -> Any:
        nearest = int(value) if of is words else float(np.float32(value))
        return ir.Constant(of, [nearest] * kind.count if is_vector else nearest)

    shifter = constant(12582912.0)
    shifted = fused_multiply_add(builder, number, constant(1.44269504), shifter)
    whole = builder.fsub(shifted, shifter)
    rest = fused_multiply_add(builder, whole, constant(-0.693359375), number)
    rest = fused_multiply_add(builder, whole, constant(2.12194440e-4), rest)
    power = constant(_COEFFICIENTS[0])
    for coefficient in _COEFFICIENTS[1:]:
        power = fused_multiply_add(builder, power, rest, constant(coefficient))
    power = fused_multiply_add(builder, builder.fmul(power, rest), rest, rest)
    power = builder.fadd(power, constant(1.0))
    exponent = builder.shl(builder.bitcast(shifted, words), constant(23, words))
    scale = builder.bitcast(builder.add(exponent, constant(0x3F800000, words)), kind)
    is_small = builder.fcmp_ordered("<", number, constant(-87.0))
    return builder.select(is_small, constant(0.0), builder.fmul(power, scale))
