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

from llvmlite import ir
from numba import types
from numba.core import cgutils

from benchmark.decoding.speculative.fused.compilation import (
    compiled,
    intrinsic,
    target_features,
)
from benchmark.decoding.speculative.fused.exponentials import FEATURES

TILE = 16
"""Rows of a tile, and columns of sums."""

DEPTH = 32
"""Numbers of a row in a tile of a product's first factor."""

_COLUMNS = 2 * TILE
"""Columns of sums that are computed at once."""

_FACTORS, _MATRIX = 4, 6
"""The first of two registers for each factor; those before are for sums."""

_SYS_ARCH_PRCTL, _ARCH_REQ_XCOMP_PERM, _XFEATURE_XTILEDATA = 158, 0x1023, 18
"""Linux's names: of a system call, what it asks for, and of the state that tiles are part of."""


@cache
def can_use_tiles() -> bool:
    """Return whether this process may use the tiles of the processor, and Numba knows them.

    Linux saves a thread's tiles only for a process that has asked for them, as torch's oneDNN does
    too.
    """
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    if not FEATURES | {"+amx-tile", "+amx-bf16"} <= target_features():
        return False
    refused: int = ctypes.CDLL(None).syscall(
        _SYS_ARCH_PRCTL, _ARCH_REQ_XCOMP_PERM, _XFEATURE_XTILEDATA
    )
    return not refused


_BYTE, _WORD = ir.IntType(8), ir.IntType(64)
_POINTER = _BYTE.as_pointer()


def _call(builder: Any, name: str, *arguments: Any) -> None:
    """Call LLVM's instruction ``llvm.x86.NAME``, which returns nothing."""
    kind = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.{name}")
    builder.call(function, arguments)


@intrinsic
def configure_tiles(_context: object) -> object:
    """Set up all eight registers of the calling thread, with 16 rows of 64 bytes each."""

    def generate(context: Any, builder: Any, _signature: object, _arguments: object) -> object:
        # Bytes: the palette's number, 15 others, the size of a row of each register in two bytes
        # each, of which there could be 16, and the rows of each.
        configuration = [1, *[0] * 15, *[64, 0] * 8, *[0] * 16, *[16] * 8, *[0] * 8]
        layout = ir.ArrayType(_BYTE, len(configuration))
        palette = cgutils.alloca_once_value(builder, ir.Constant(layout, bytearray(configuration)))
        _call(builder, "ldtilecfg", builder.bitcast(palette, _POINTER))
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
    """A contiguous matrix in memory, of Numba's type ``kind``."""

    def __init__(self, context: Any, builder: Any, kind: Any, value: Any) -> None:
        array = context.make_array(kind)(context, builder, value)
        self._builder = builder
        self._start = builder.ptrtoint(array.data, _WORD)
        self._size = _WORD(kind.dtype.bitwidth // 8)
        _, width = cgutils.unpack_tuple(builder, array.shape, 2)
        self.stride = builder.mul(width, self._size)
        """Bytes of a row."""

    def address(self, row: Any, column: Any) -> Any:
        """Return the address of a number, as a number."""
        builder = self._builder
        offset = builder.add(builder.mul(row, self.stride), builder.mul(column, self._size))
        return builder.add(self._start, offset)

    def move(self, name: str, register: int, address: Any) -> None:
        """Load or store a tile of the matrix, by the instruction of that name."""
        pointer = self._builder.inttoptr(address, _POINTER)
        _call(self._builder, name, _BYTE(register), pointer, self.stride)


def _accumulate(
    builder: Any, factors: _Matrix, rows: list[Any], pairs: _Matrix, first: Any, depth: Any
) -> None:
    """Write the loop that adds products to the registers of sums.

    Args:
        builder: writes the instructions.
        factors: the first matrix.
        rows: the address of the first number of each block of its rows.
        pairs: the second matrix.
        first: the address of its first number.
        depth: how many numbers of a row are multiplied.
    """
    with cgutils.for_range(builder, builder.udiv(depth, _WORD(DEPTH))) as loop:
        across = builder.mul(loop.index, _WORD(2 * DEPTH))
        down = builder.mul(loop.index, builder.mul(pairs.stride, _WORD(DEPTH // 2)))
        for j in range(2):
            start = builder.add(builder.add(first, down), _WORD(4 * TILE * j))
            pairs.move("tileloadd64", _MATRIX + j, start)
        for i, row in enumerate(rows):
            factors.move("tileloadd64", _FACTORS + i, builder.add(row, across))
            for j in range(2):
                registers = (2 * i + j, _FACTORS + i, _MATRIX + j)
                _call(builder, "tdpbf16ps", *map(_BYTE, registers))


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
            target, left = (
                _Matrix(context, builder, kind, value)
                for kind, value in ((sums, to), (factors, by))
            )
            right = _Matrix(context, builder, pairs, of)
            rows = [builder.add(row, _WORD(TILE * i)) for i in range(blocks)]
            columns = [builder.add(column, _WORD(TILE * j)) for j in range(2)]
            tiles = [target.address(i, j) for i in rows for j in columns]
            for register, address in enumerate(tiles):
                if adds:
                    target.move("tileloadd64", register, address)
                else:
                    _call(builder, "tilezero", _BYTE(register))
            first = right.address(pair, builder.shl(pair_column, _WORD(1)))
            left_rows = [left.address(i, factor_column) for i in rows]
            _accumulate(builder, left, left_rows, right, first, depth)
            for register, address in enumerate(tiles):
                target.move("tilestored64", register, address)
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
