"""Sums, maxima and products of vectors of 16 numbers, in a fixed order; import it only with Numba.

They are written in LLVM's instructions. From loops over single numbers the compiler makes vectors
only if it may choose the order of a sum, and it does not keep a tile of a product in registers.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from benchmark.decoding.speculative.fused.compilation import compiled, intrinsic
from benchmark.decoding.speculative.fused.numbers import multiply_add, wide
from benchmark.models.hardware import cpu_flags

_LANES = 16
"""Numbers in the longest vector of a processor, in float32; others take several."""

_CHAINS = 4
"""Vectors of results of a reduction, so that each need not wait for the one before."""

_IS_WIDE = "avx512f" in cpu_flags()
_ROWS, _COLUMNS, LOW_ROWS = (8, 32, 4) if _IS_WIDE else (4, 16, 4)
"""The tiles of a product, which fill half of a processor's registers."""


class _VectorCode:
    """Writes LLVM's instructions for vectors of 16 numbers."""

    def __init__(self, context: Any, builder: Any, columns: int = _LANES) -> None:
        self._context, self._builder = context, builder
        self.places = range(0, columns, _LANES)
        self._floats = ir.VectorType(ir.FloatType(), _LANES)
        self._halves = ir.VectorType(ir.IntType(16), _LANES)
        self._words = ir.VectorType(ir.IntType(32), _LANES)

    def row(self, array: Any, value: Any, row: Any, more: int, column: Any) -> Any:
        """Return the address of a column in row ``row + more`` of a contiguous matrix."""
        builder, whole = self._builder, self._context.get_value_type(types.intp)
        matrix = self._context.make_array(array)(self._context, builder, value)
        _, width = cgutils.unpack_tuple(builder, matrix.shape, 2)
        offset = builder.mul(builder.add(row, whole(more)), width)
        return builder.gep(matrix.data, [builder.add(offset, column)])

    def length(self, array: Any, value: Any) -> Any:
        """Return the number of rows of a matrix."""
        matrix = self._context.make_array(array)(self._context, self._builder, value)
        return cgutils.unpack_tuple(self._builder, matrix.shape, 2)[0]

    def across(self, combine: Callable[[Any, Any], Any], vector: Any) -> Any:
        """Return a vector's numbers combined: its halves, then the halves of that, ..."""
        builder, half = self._builder, _LANES // 2
        while half:
            shuffled = [min(i + half, _LANES - 1) for i in range(_LANES)]
            order = ir.Constant(self._words, shuffled)
            vector = combine(vector, builder.shuffle_vector(vector, vector, order))
            half //= 2
        return builder.extract_element(vector, ir.IntType(32)(0))

    def add(self, one: Any, other: Any) -> Any:
        """Return the sums of the numbers of two vectors."""
        return self._builder.fadd(one, other)

    def larger(self, one: Any, other: Any) -> Any:
        """Return the larger of each two numbers of two vectors, of a NaN and another the first."""
        return self._builder.select(self._builder.fcmp_ordered(">", other, one), other, one)

    def variable(self, value: Any) -> Any:
        """Return the address of a variable with this value, which LLVM keeps in a register."""
        return cgutils.alloca_once_value(self._builder, value)

    def repeated(self, scalar: Any) -> Any:
        """Return a vector of copies of a number."""
        undefined = ir.Constant(self._floats, ir.Undefined)
        first = self._builder.insert_element(undefined, scalar, ir.IntType(32)(0))
        zeros = ir.Constant(self._words, [0] * _LANES)
        return self._builder.shuffle_vector(first, undefined, zeros)

    def multiply_add(self, one: Any, two: Any, three: Any) -> Any:
        """Return one * two + three of vectors, each rounded once."""
        kind = ir.FunctionType(self._floats, [self._floats] * 3)
        name = f"llvm.fma.v{_LANES}f32"
        function = cgutils.get_or_insert_function(self._builder.module, kind, name)
        return self._builder.call(function, [one, two, three])

    def load(self, start: Any, *, is_bfloat16: bool = False) -> list[Any]:
        """Return the numbers of a row from an address on, in vectors."""
        builder, vectors = self._builder, []
        for address in self._addresses(start):
            if is_bfloat16:
                bits = builder.load(builder.bitcast(address, self._halves.as_pointer()), align=2)
                sixteen = ir.Constant(self._words, [16] * _LANES)
                bits = builder.shl(builder.zext(bits, self._words), sixteen)
                vectors.append(builder.bitcast(bits, self._floats))
            else:
                numbers = builder.bitcast(address, self._floats.as_pointer())
                vectors.append(builder.load(numbers, align=4))
        return vectors

    def store(self, vectors: Sequence[Any], start: Any) -> None:
        """Store vectors from an address on."""
        for vector, address in zip(vectors, self._addresses(start), strict=True):
            numbers = self._builder.bitcast(address, self._floats.as_pointer())
            self._builder.store(vector, numbers, align=4)

    def prefetch(self, array: Any, value: Any, row: Any) -> None:
        """Ask for row ``row`` of an array of 32 numbers a row: one cache line, or two."""
        lines = 1 if array.dtype == types.uint16 else 2
        builder, byte, word = self._builder, ir.IntType(8).as_pointer(), ir.IntType(32)
        whole = self._context.get_value_type(types.intp)
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        data = builder.bitcast(
            self._context.make_array(array)(self._context, builder, value).data, byte
        )
        for line in range(lines):
            number = builder.add(builder.mul(row, whole(lines)), whole(line))
            start = builder.gep(data, [builder.mul(number, whole(64))])
            builder.call(function, [start, word(0), word(2), word(1)])

    def _addresses(self, start: Any) -> list[Any]:
        whole = self._context.get_value_type(types.intp)
        return [self._builder.gep(start, [whole(place)]) for place in self.places]


_Step = Callable[[_VectorCode, Any, Any], Any]
"""Combines a vector of results with the next numbers of a row."""


def _reduction(first: float, step: _Step, across: _Step) -> Callable[[Any], Any]:
    """Return a function that combines the whole vectors of a row, and the numbers of the result."""

    @intrinsic
    def reduced(_context: object, row: Any) -> object:
        """Combine all numbers but the last ones, which fill no vector."""

        def generate(context: Any, builder: Any, _signature: object, arguments: Any) -> object:
            code = _VectorCode(context, builder)
            array = context.make_array(row)(context, builder, arguments[0])
            whole = context.get_value_type(types.intp)
            vectors = builder.udiv(builder.extract_value(array.shape, 0), whole(_LANES))
            results = [code.variable(code.repeated(ir.FloatType()(first))) for _ in range(_CHAINS)]
            fours = builder.udiv(vectors, whole(_CHAINS))

            def combine(index: Any, result: Any) -> None:
                start = builder.gep(array.data, [builder.mul(index, whole(_LANES))])
                (part,) = code.load(start, is_bfloat16=row.dtype == types.uint16)
                builder.store(step(code, builder.load(result), part), result)

            with cgutils.for_range(builder, fours) as loop:
                for i, result in enumerate(results):
                    index = builder.add(builder.mul(loop.index, whole(_CHAINS)), whole(i))
                    combine(index, result)
            with cgutils.for_range(
                builder, vectors, start=builder.mul(fours, whole(_CHAINS))
            ) as loop:
                combine(loop.index, results[0])
            parts = [builder.load(result) for result in results]
            while len(parts) > 1:
                parts = [across(code, *pair) for pair in zip(parts[::2], parts[1::2], strict=True)]
            return code.across(partial(across, code), parts[0])

        return types.float32(row), generate

    return reduced


_whole_sum = _reduction(0.0, _VectorCode.add, _VectorCode.add)
_whole_squares = _reduction(
    0.0, lambda code, sums, part: code.multiply_add(part, part, sums), _VectorCode.add
)
_whole_largest = _reduction(-math.inf, _VectorCode.larger, _VectorCode.larger)


@compiled
def largest(row: Any) -> Any:
    """Return the largest of a row's numbers, without those that are NaN."""
    result = _whole_largest(row)
    for i in range(row.shape[0] - row.shape[0] % _LANES, row.shape[0]):
        number = wide(row[i])
        result = number if number > result else result  # max would take a NaN
    return result


@compiled
def total(row: Any) -> Any:
    """Return the sum of a row's numbers: of each 64th one, then of these sums.

    Whole vectors of 16 behind the last 64 numbers are added to the first of them, and the numbers
    behind these one by one.
    """
    result = _whole_sum(row)
    for i in range(row.shape[0] - row.shape[0] % _LANES, row.shape[0]):
        result += wide(row[i])
    return result


@compiled
def sum_of_squares(row: Any) -> Any:
    """Return the sum of the squares of a row's numbers, in the order of :func:`total`."""
    result = _whole_squares(row)
    for i in range(row.shape[0] - row.shape[0] % _LANES, row.shape[0]):
        result = multiply_add(wide(row[i]), wide(row[i]), result)
    return result


def _product_tile(
    rows: int, columns: int, *, adds: bool, prefetches: bool = False
) -> Callable[..., None]:
    """Return a function that puts the product of two matrices into a tile of another, or adds it.

    The tile is in registers meanwhile, which loops over its elements do not get a compiler to do.
    """

    @intrinsic
    def tile(
        _context: object,
        sums: Any,
        _row: object,
        _column: object,
        factors: Any,
        _first: object,
        matrix: Any,
        _matrix_column: object,
        soon: Any,
        later: Any,
    ) -> object:
        """Put sums of products into ``sums[row + i, column + j]``, or add them to it.

        Each is ``factors[row + i, first + k] * matrix[k, matrix_column + j]``, summed over k, for
        all i below ``rows`` and j below ``columns``. Meanwhile ``soon`` and ``later`` are
        prefetched, if the tile prefetches.
        """
        number = types.intp
        places = (sums, number, number, factors, number, matrix, number)

        def generate(context: Any, builder: Any, _signature: object, arguments: Any) -> object:
            code = _VectorCode(context, builder, columns)
            to, row, column, by, first, of, matrix_column, *following = arguments
            starts = [code.row(sums, to, row, i, column) for i in range(rows)]
            scalars = [code.row(factors, by, row, i, first) for i in range(rows)]
            zeros = [code.repeated(ir.FloatType()(0.0)) for _ in code.places]
            before = [code.load(start) if adds else zeros for start in starts]
            totals = [[code.variable(part) for part in parts] for parts in before]
            is_bfloat16 = matrix.dtype == types.uint16
            with cgutils.for_range(builder, code.length(matrix, of)) as loop:
                if prefetches:
                    for kind, array in zip((soon, later), following, strict=True):
                        code.prefetch(kind, array, loop.index)
                start = code.row(matrix, of, loop.index, 0, matrix_column)
                parts = code.load(start, is_bfloat16=is_bfloat16)
                for scalar, row_totals in zip(scalars, totals, strict=True):
                    factor = code.repeated(builder.load(builder.gep(scalar, [loop.index])))
                    for part, total in zip(parts, row_totals, strict=True):
                        builder.store(code.multiply_add(factor, part, builder.load(total)), total)
            for start, row_totals in zip(starts, totals, strict=True):
                code.store([builder.load(total) for total in row_totals], start)
            return context.get_dummy_value()

        return types.void(*places, soon, later), generate

    return tile


_add_tile = _product_tile(_ROWS, _COLUMNS, adds=True)
_add_low_tile = _product_tile(LOW_ROWS, _COLUMNS, adds=True)
_put_tile = _product_tile(_ROWS, _COLUMNS, adds=False)
_put_low_tile = _product_tile(LOW_ROWS, _COLUMNS, adds=False)
_first_tile = _product_tile(_ROWS, _COLUMNS, adds=False, prefetches=True)
_first_low_tile = _product_tile(LOW_ROWS, _COLUMNS, adds=False, prefetches=True)


@compiled
def put_product(
    sums: Any, column: int, columns: int, factors: Any, matrix: Any, soon: Any, later: Any
) -> None:
    """Put the product of ``factors`` and a matrix into some columns of ``sums``.

    These are ``columns`` columns from ``column`` on, a multiple of 32. The number of rows is one of
    :data:`LOW_ROWS`. Meanwhile ``soon`` and ``later``, matrices with as many numbers as ``matrix``,
    are fetched from memory, as they will be read soon.
    """
    row = 0
    while row < sums.shape[0]:
        high = row + _ROWS <= sums.shape[0]
        for n in range(0, columns, _COLUMNS):
            is_first = row + n == 0
            if high and is_first:
                _first_tile(sums, row, column + n, factors, 0, matrix, n, soon, later)
            elif high:
                _put_tile(sums, row, column + n, factors, 0, matrix, n, soon, later)
            elif is_first:
                _first_low_tile(sums, row, column + n, factors, 0, matrix, n, soon, later)
            else:
                _put_low_tile(sums, row, column + n, factors, 0, matrix, n, soon, later)
        row += _ROWS if high else LOW_ROWS


@compiled
def add_product(
    sums: Any, column: int, columns: int, factors: Any, first: int, matrix: Any
) -> None:
    """Add the product of some columns of ``factors`` and a matrix to some columns of ``sums``.

    To ``columns`` columns of ``sums`` from ``column`` on is added the product of the columns of
    ``factors`` from ``first`` on and ``matrix``. The number of rows is a multiple of
    :data:`LOW_ROWS`.
    """
    whole = columns - columns % _COLUMNS
    row = 0
    while row < sums.shape[0]:
        high = row + _ROWS <= sums.shape[0]
        for n in range(0, whole, _COLUMNS):
            if high:
                _add_tile(sums, row, column + n, factors, first, matrix, n, matrix, matrix)
            else:
                _add_low_tile(sums, row, column + n, factors, first, matrix, n, matrix, matrix)
        row += _ROWS if high else LOW_ROWS
    if whole < columns:
        for row in range(sums.shape[0]):
            for k in range(matrix.shape[0]):
                factor = factors[row, first + k]
                for n in range(whole, columns):
                    sum_now = sums[row, column + n]
                    sums[row, column + n] = multiply_add(factor, wide(matrix[k, n]), sum_now)
