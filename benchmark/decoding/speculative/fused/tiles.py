"""Products of bfloat16 matrices by AMX, whose registers are tiles; import it only with Numba.

A tile has 16 rows of 64 bytes. One instruction multiplies 16 rows of 32 bfloat16 numbers by 32
rows of 16 columns, and adds the products to a tile of 16 by 16 sums in float32. The second factor
is in pairs of rows: of rows 2 p and 2 p + 1, the numbers of a column lie next to one another.
"""

import ctypes
import platform
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils

from benchmark.decoding.speculative.fused.compilation import compiled, intrinsic

TILE = 16
"""Rows of a tile, and columns of sums."""

DEPTH = 32
"""Numbers of a row in a tile of a product's first factor."""

_COLUMNS = 2 * TILE
"""Columns of sums that are computed at once."""

_FACTORS, _MATRIX = 4, 6
"""The first of two registers for each factor; those before are for sums."""

_ARCH_PRCTL, _REQUEST, _TILE_DATA = 158, 0x1023, 18
"""Of Linux: the number of the system call, of its request for a permission, and what it is for."""


@cache
def can_use_tiles() -> bool:
    """Return whether this process may use the tiles of the processor, and Numba knows them.

    Linux saves a thread's tiles only for a process that has asked for them, as torch's oneDNN does
    too.
    """
    features = str(numba.config.CPU_FEATURES).split(",")
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    if not {"+amx-tile", "+amx-bf16"} <= set(features):
        return False
    refused: int = ctypes.CDLL(None).syscall(_ARCH_PRCTL, _REQUEST, _TILE_DATA)
    return not refused


_BYTE, _WORD = ir.IntType(8), ir.IntType(64)
_PLACE = _BYTE.as_pointer()


def _call(builder: Any, name: str, *arguments: Any) -> None:
    """Call one of LLVM's instructions of x86 processors."""
    kind = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.{name}")
    builder.call(function, arguments)


@intrinsic
def configure_tiles(_context: object) -> object:
    """Set up all eight registers of the calling thread, with 16 rows of 64 bytes each."""

    def generate(context: Any, builder: Any, _signature: object, _arguments: object) -> object:
        # Bytes: the kind of palette, 15 others, the bytes of a row of each register in two bytes
        # each, of which there could be 16, and the rows of each.
        numbers = [1, *[0] * 15, *[64, 0] * 8, *[0] * 16, *[16] * 8, *[0] * 8]
        layout = ir.ArrayType(_BYTE, len(numbers))
        palette = cgutils.alloca_once_value(builder, ir.Constant(layout, bytearray(numbers)))
        _call(builder, "ldtilecfg", builder.bitcast(palette, _PLACE))
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def release_tiles(_context: object) -> object:
    """Free the registers of the calling thread, so that they need not be saved with it."""

    def generate(context: Any, builder: Any, _signature: object, _arguments: object) -> object:
        _call(builder, "tilerelease")
        return context.get_dummy_value()

    return types.void(), generate


class _Matrix:
    """A contiguous matrix in memory."""

    def __init__(self, context: Any, builder: Any, kind: Any, value: Any) -> None:
        array = context.make_array(kind)(context, builder, value)
        self._builder = builder
        self._start = builder.ptrtoint(array.data, _WORD)
        self._size = _WORD(kind.dtype.bitwidth // 8)
        _, width = cgutils.unpack_tuple(builder, array.shape, 2)
        self.stride = builder.mul(width, self._size)

    def place(self, row: Any, column: Any) -> Any:
        """Return the address of a number, as a number."""
        builder = self._builder
        offset = builder.add(builder.mul(row, self.stride), builder.mul(column, self._size))
        return builder.add(self._start, offset)


def _product(blocks: int, *, adds: bool) -> Callable[..., None]:
    """Return a function that puts the product of two matrices into ``blocks`` times 16 rows.

    With ``adds`` it adds the product to them.
    """

    @intrinsic
    def product(
        _context: object,
        sums: Any,
        _row: object,
        _column: object,
        factors: Any,
        _factor_column: object,
        pairs: Any,
        _pair: object,
        _pair_column: object,
        _depth: object,
    ) -> object:
        """Put sums of products into ``sums[row + i, column + j]`` for j below 32.

        Each is ``factors[row + i, factor_column + k]`` times ``pairs[pair + k // 2,
        2 * (pair_column + j) + k % 2]``, summed over k below ``depth``.
        """
        number = types.intp

        def generate(context: Any, builder: Any, _signature: object, arguments: Any) -> object:
            to, row, column, by, factor_column, of, pair, pair_column, depth = arguments
            left = _Matrix(context, builder, factors, by)
            right = _Matrix(context, builder, pairs, of)
            target = _Matrix(context, builder, sums, to)
            places = {
                2 * i + j: target.place(
                    builder.add(row, _WORD(TILE * i)), builder.add(column, _WORD(TILE * j))
                )
                for i in range(blocks)
                for j in range(2)
            }

            def move(name: str, register: int, place: Any, stride: Any) -> None:
                _call(builder, name, _BYTE(register), builder.inttoptr(place, _PLACE), stride)

            for register, place in places.items():
                if adds:
                    move("tileloadd64", register, place, target.stride)
                else:
                    _call(builder, "tilezero", _BYTE(register))
            rows = [
                left.place(builder.add(row, _WORD(TILE * i)), factor_column) for i in range(blocks)
            ]
            first = right.place(pair, builder.shl(pair_column, _WORD(1)))
            with cgutils.for_range(builder, builder.udiv(depth, _WORD(DEPTH))) as loop:
                across = builder.mul(loop.index, _WORD(2 * DEPTH))
                down = builder.mul(loop.index, builder.mul(right.stride, _WORD(DEPTH // 2)))
                start = builder.add(first, down)
                for j in range(2):
                    column_start = builder.add(start, _WORD(4 * TILE * j))
                    move("tileloadd64", _MATRIX + j, column_start, right.stride)
                for i, place in enumerate(rows):
                    move("tileloadd64", _FACTORS + i, builder.add(place, across), left.stride)
                    for j in range(2):
                        registers = (2 * i + j, _FACTORS + i, _MATRIX + j)
                        _call(builder, "tdpbf16ps", *map(_BYTE, registers))
            for register, place in places.items():
                move("tilestored64", register, place, target.stride)
            return context.get_dummy_value()

        left_types = sums, number, number, factors, number
        return types.void(*left_types, pairs, number, number, number), generate

    return product


_put_one, _put_two = (_product(blocks, adds=False) for blocks in (1, 2))
_add_one, _add_two = (_product(blocks, adds=True) for blocks in (1, 2))


@compiled
def put_product(sums: Any, column: int, factors: Any, pairs: Any, first: int, depth: int) -> None:
    """Put the product of ``factors`` and some rows of pairs into some columns of ``sums``.

    Args:
        sums: float32, shape (rows, columns), rows a multiple of 16.
        column: the first column of ``sums`` that takes the product.
        factors: shape (rows, at least depth).
        pairs: the second factor, shape (at least first + depth / 2, 2 * width), width a multiple of
            32.
        first: the row of pairs by which the first two columns of the factors are multiplied.
        depth: the number of columns of the factors, a multiple of 32.
    """
    rows = sums.shape[0]
    for n in range(0, pairs.shape[1] // 2, _COLUMNS):
        for row in range(0, rows, 2 * TILE):
            if row + TILE < rows:
                _put_two(sums, row, column + n, factors, 0, pairs, first, n, depth)
            else:
                _put_one(sums, row, column + n, factors, 0, pairs, first, n, depth)


@compiled
def add_product(sums: Any, factors: Any, column: int, pairs: Any, first: int, depth: int) -> None:
    """Add the product of some columns of ``factors`` and some rows of pairs to ``sums``.

    Args:
        sums: float32, shape (rows, width), rows a multiple of 16, width a multiple of 32.
        factors: shape (rows, at least column + depth).
        column: the first column of the factors.
        pairs: the second factor, shape (at least first + depth / 2, 2 * width).
        first: the first row of pairs.
        depth: the number of columns, a multiple of 32.
    """
    rows = sums.shape[0]
    for n in range(0, pairs.shape[1] // 2, _COLUMNS):
        for row in range(0, rows, 2 * TILE):
            if row + TILE < rows:
                _add_two(sums, row, n, factors, column, pairs, first, n, depth)
            else:
                _add_one(sums, row, n, factors, column, pairs, first, n, depth)
