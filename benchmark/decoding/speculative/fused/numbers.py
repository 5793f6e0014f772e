"""Numbers in the kernels: float32, and bfloat16 as its bits; import it only with Numba.

bfloat16 numbers come in arrays of uint16, since NumPy has no such type: a bfloat16 is the upper
half of a float32.
"""

from typing import Any

import numpy as np
from numba import types

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


@intrinsic
def _narrowed(_context: object, _number: object) -> object:
    """Return the bits of the bfloat16 nearest to a float32, the even one if two are as near.

    Adding less than half a unit, and one more if the last bit that stays is set, carries over if
    and only if the number is to be rounded up. Of a NaN it might carry over into the sign: a NaN is
    cut off instead, with a bit set that keeps it a NaN. All in 32 bit: Numba would compute in 64,
    and half as many numbers at a time.
    """
    signature = types.uint16(types.float32)

    def generate(context: Any, builder: Any, _signature: object, arguments: Any) -> object:
        word, half = (context.get_value_type(kind) for kind in (types.uint32, types.uint16))
        bits = builder.bitcast(arguments[0], word)
        upper = builder.lshr(bits, word(16))
        is_nan = builder.fcmp_unordered("uno", arguments[0], arguments[0])
        odd = builder.and_(upper, word(1))
        carried = builder.add(builder.add(bits, word(0x7FFF)), odd)
        nearest = builder.lshr(carried, word(16))
        cut = builder.or_(upper, word(0x40))
        return builder.trunc(builder.select(is_nan, cut, nearest), half)

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
    """Return e to a float32 of at most 88, to 3 units in the last place; 0 below -87, NaN for NaN.

    e**x is 2**n * e**r with n the whole number next to x / ln 2, and r at most ln 2 / 2, for which
    a polynomial does (the coefficients are those of the Cephes library). ln 2 is subtracted in two
    parts, so that r is exact. Adding 1.5 * 2**23 rounds to a whole number, which is then in the
    last bits of the sum: moved to the exponent's place, they make 2**n.
    """
    signature = types.float32(types.float32)

    def generate(context: Any, builder: Any, _signature: object, arguments: Any) -> object:
        (number,) = arguments
        word = context.get_value_type(types.uint32)

        def constant(value: float) -> Any:
            return number.type(float(np.float32(value)))

        shifter = constant(12582912.0)
        shifted = builder.fma(number, constant(1.44269504), shifter)
        whole = builder.fsub(shifted, shifter)
        rest = builder.fma(whole, constant(-0.693359375), number)
        rest = builder.fma(whole, constant(2.12194440e-4), rest)
        power = constant(_COEFFICIENTS[0])
        for coefficient in _COEFFICIENTS[1:]:
            power = builder.fma(power, rest, constant(coefficient))
        power = builder.fma(builder.fmul(power, rest), rest, rest)
        power = builder.fadd(power, constant(1.0))
        exponent = builder.shl(builder.bitcast(shifted, word), word(23))
        scale = builder.bitcast(builder.add(exponent, word(0x3F800000)), number.type)
        is_small = builder.fcmp_ordered("<", number, constant(-87.0))
        return builder.select(is_small, constant(0.0), builder.fmul(power, scale))

    return signature, generate
