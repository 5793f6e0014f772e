"""Sums, maxima and products of vectors of 16 numbers, in a fixed order; import it only with Numba.

They are written in LLVM's instructions. From loops over single numbers the compiler makes vectors
only if it may choose the order of a sum, and it does not keep a tile of a product in registers.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from benchmark.decoding.speculative.fused.compilation import compiled, intrinsic
from benchmark.decoding.speculative.fused.numbers import multiply_add, wide
from benchmark.decoding.speculative.fused.sequences import LINE
from benchmark.models.hardware import cpu_flags

LANES = 16
"""Numbers in the longest vector of a processor, in float32; others take several."""

CHAINS = 4
"""Vectors of results of a reduction, so that each need not wait for the one before."""

_IS_WIDE = "avx512f" in cpu_flags()
_COLUMNS = 32 if _IS_WIDE else 16
_LARGE, _MEDIUM, ROW_MULTIPLE = (12, 8, 4) if _IS_WIDE else (4, 4, 4)
"""The rows of a product's tiles; the largest has 24 of 32 registers, or 8 of 16."""


class VectorCode:
    """Writes LLVM's instructions for vectors of 16 numbers."""

    def __init__(self, context: Any, builder: Any, columns: int = LANES) -> None:
        """Take Numba's context and builder, and how many columns of a row are loaded at a time."""
        self._context, self._builder = context, builder
        self.places = range(0, columns, LANES)
        self.floats = ir.VectorType(ir.FloatType(), LANES)
        self.halves = ir.VectorType(ir.IntType(16), LANES)
        self.words = ir.VectorType(ir.IntType(32), LANES)

    def row(self, array: Any, value: Any, row: Any, more: int, column: Any) -> Any:
        """Return the address of a column in row ``row + more`` of a contiguous matrix."""
        builder, whole = self._builder, self._context.get_value_type(types.intp)
        matrix = self._context.make_array(array)(self._context, builder, value)
        _, width = cgutils.unpack_tuple(builder, matrix.shape, 2)
        offset = builder.mul(builder.add(row, whole(more)), width)
        return builder.gep(matrix.data, [builder.add(offset, column)])

    def across(self, combine: Callable[[Any, Any], Any], vector: Any) -> Any:
        """Return a vector's numbers combined: its halves, then the halves of that, ..."""
        builder, half = self._builder, LANES // 2
        while half:
            shuffled = [min(i + half, LANES - 1) for i in range(LANES)]
            order = ir.Constant(self.words, shuffled)
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
        undefined = ir.Constant(self.floats, ir.Undefined)
        first = self._builder.insert_element(undefined, scalar, ir.IntType(32)(0))
        zeros = ir.Constant(self.words, [0] * LANES)
        return self._builder.shuffle_vector(first, undefined, zeros)

    def multiply_add(self, one: Any, two: Any, three: Any) -> Any:
        """Return one * two + three of vectors, each rounded once."""
        kind = ir.FunctionType(self.floats, [self.floats] * 3)
        return self.call(f"fma.v{LANES}f32", kind, one, two, three)

    def call(self, name: str, kind: Any, *arguments: Any) -> Any:
        """Return the result of LLVM's instruction ``llvm.NAME``, a function of that type."""
        function = cgutils.get_or_insert_function(self._builder.module, kind, f"llvm.{name}")
        return self._builder.call(function, arguments)

    def widened(self, bits: Any) -> Any:
        """Return a vector of the bits of bfloat16 numbers as numbers."""
        builder, sixteen = self._builder, ir.Constant(self.words, [16] * LANES)
        return builder.bitcast(builder.shl(builder.zext(bits, self.words), sixteen), self.floats)

    def load(self, start: Any, *, is_bfloat16: bool = False) -> list[Any]:
        """Return the numbers of a row from an address on, in vectors."""
        builder, vectors = self._builder, []
        for address in self._addresses(start):
            if is_bfloat16:
                bits = builder.load(builder.bitcast(address, self.halves.as_pointer()), align=2)
                vectors.append(self.widened(bits))
            else:
                numbers = builder.bitcast(address, self.floats.as_pointer())
                vectors.append(builder.load(numbers, align=4))
        return vectors

    def store(self, vectors: Sequence[Any], start: Any) -> None:
        """Store vectors from an address on."""
        for vector, address in zip(vectors, self._addresses(start), strict=True):
            numbers = self._builder.bitcast(address, self.floats.as_pointer())
            self._builder.store(vector, numbers, align=4)

    def prefetch(self, address: Any) -> None:
        """Ask for the cache line at an address; one that is not mapped is ignored."""
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        start = self._builder.inttoptr(address, byte)
        self.call("prefetch.p0i8", kind, start, word(0), word(2), word(1))

    def chains(
        self, vectors: Any, results: Sequence[Any], step: Callable[[Any, Any], None]
    ) -> None:
        """Write a loop over vectors: each fourth one takes its step with the same result.

        Those behind the last four take it with the first result.
        """
        builder, whole = self._builder, self._context.get_value_type(types.intp)
        fours = builder.udiv(vectors, whole(len(results)))
        with cgutils.for_range(builder, fours) as loop:
            for i, result in enumerate(results):
                first = builder.mul(loop.index, whole(len(results)))
                step(builder.add(first, whole(i)), result)
        behind = builder.mul(fours, whole(len(results)))
        with cgutils.for_range(builder, vectors, start=behind) as loop:
            step(loop.index, results[0])

    def joined(self, results: Sequence[Any], across: "_Step") -> Any:
        """Return the numbers of all results combined."""
        parts = [self._builder.load(result) for result in results]
        while len(parts) > 1:
            parts = [across(self, *pair) for pair in zip(parts[::2], parts[1::2], strict=True)]
        return self.across(partial(across, self), parts[0])

    def _addresses(self, start: Any) -> list[Any]:
        whole = self._context.get_value_type(types.intp)
        return [self._builder.gep(start, [whole(place)]) for place in self.places]


_Step = Callable[[VectorCode, Any, Any], Any]
"""Combines a vector of results with the next numbers of a row."""


def _reduction(first: float, step: _Step, across: _Step) -> Callable[[Any], Any]:
    """Return a function that combines the whole vectors of a row, and the numbers of the result."""

    @intrinsic
    def reduced(_context: object, row: Any) -> object:
        """Combine all numbers but the last ones, which fill no vector."""

        def generate(context: Any, builder: Any, _signature: object, arguments: Any) -> object:
            code = VectorCode(context, builder)
            array = context.make_array(row)(context, builder, arguments[0])
            whole = context.get_value_type(types.intp)
            vectors = builder.udiv(builder.extract_value(array.shape, 0), whole(LANES))
            results = [code.variable(code.repeated(ir.FloatType()(first))) for _ in range(CHAINS)]

            def combine(index: Any, result: Any) -> None:
                start = builder.gep(array.data, [builder.mul(index, whole(LANES))])
                (part,) = code.load(start, is_bfloat16=row.dtype == types.uint16)
                builder.store(step(code, builder.load(result), part), result)

            code.chains(vectors, results, combine)
            return code.joined(results, across)

        return types.float32(row), generate

    return reduced


_whole_sum = _reduction(0.0, VectorCode.add, VectorCode.add)
_whole_squares = _reduction(
    0.0, lambda code, sums, part: code.multiply_add(part, part, sums), VectorCode.add
)
_whole_largest = _reduction(-math.inf, VectorCode.larger, VectorCode.larger)


@compiled
def largest(row: Any) -> Any:
    """Return the largest of a row's numbers, without those that are NaN."""
    result = _whole_largest(row)
    for i in range(row.shape[0] - row.shape[0] % LANES, row.shape[0]):
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
    for i in range(row.shape[0] - row.shape[0] % LANES, row.shape[0]):
        result += wide(row[i])
    return result


@compiled
def sum_of_squares(row: Any) -> Any:
    """Return the sum of the squares of a row's numbers, in the order of :func:`total`."""
    result = _whole_squares(row)
    for i in range(row.shape[0] - row.shape[0] % LANES, row.shape[0]):
        result = multiply_add(wide(row[i]), wide(row[i]), result)
    return result


_RATE, _FIRST = 4, 5
"""Where a prefetch schedule has the lines in 256 steps, and its first line."""


@compiled
def prefetch_schedule(one: int, other: int, lines: int, steps: int) -> Any:
    """Return what is fetched from memory during products, a few lines with each tile.

    Two runs of lines are fetched one after the other, evenly: a processor waits for few lines at a
    time, and products that read from a nearer cache would wait too. With 768 lines in either and
    2,304 steps, 170 + 16 lines are fetched in 256 steps; 16 more than are needed, as each tile
    takes a whole number of lines. Of the tile at the end of a run, some lines are beyond it.

    Args:
        one: the address of the first run.
        other: the address of the second.
        lines: how many lines either has.
        steps: how many steps the products have, see :func:`steps_of`.

    Returns:
        For each run the address of the next line and the number of those that are left, then
        :data:`_RATE` and :data:`_FIRST`, shape (6,). The products change it.
    """
    schedule = np.empty(6, np.int64)
    schedule[0], schedule[1] = one, lines
    schedule[2], schedule[3] = other, lines
    schedule[_RATE] = min(256, 2 * lines * 256 // max(1, steps) + 16)
    schedule[_FIRST] = one
    return schedule


@compiled
def steps_of(rows: int, columns: int, depth: int) -> int:
    """Return how many rows of a matrix the tiles of a product read, each tile counted.

    With tiles of 12 and 8 by 32, 20 rows by 64 columns are 4 tiles, which have 256 steps of depth
    64.
    """
    return (rows + _LARGE - 1) // _LARGE * (columns // _COLUMNS) * depth


@compiled
def _take_lines(schedule: Any, steps: int) -> Any:
    """Return where the next lines begin, and how many of them to fetch in 256 steps."""
    rate = schedule[_RATE]
    lines = steps * rate >> 8
    if schedule[1] > 0:
        start = schedule[0]
        schedule[0] += lines * LINE
        schedule[1] -= lines
        return start, rate
    if schedule[3] > 0:
        start = schedule[2]
        schedule[2] += lines * LINE
        schedule[3] -= lines
        return start, rate
    return schedule[_FIRST], 0


def _product_tile(rows: int, *, adds: bool) -> Callable[..., None]:
    """Return a function that puts the product of two matrices into a tile of another, or adds it.

    The tile has ``rows`` rows and :data:`_COLUMNS` columns. It is in registers meanwhile, which
    loops over its elements do not get a compiler to do.
    """

    @intrinsic
    def tile(
        _context: object,
        sums: Any,
        _row: object,
        _column: object,
        factors: Any,
        _factor_column: object,
        matrix: Any,
        _matrix_row: object,
        _matrix_column: object,
        _depth: object,
        _fetched: object,
        _rate: object,
    ) -> object:
        """Put sums of products into ``sums[row + i, column + j]``, or add them to it.

        Each is ``factors[row + i, factor_column + k] * matrix[matrix_row + k, matrix_column + j]``,
        summed over k below ``depth``. Meanwhile ``rate`` lines of memory in 256 steps of k are
        fetched from the address ``fetched`` on.
        """
        number = types.intp
        left = sums, number, number
        right = factors, number, matrix, number, number, number

        def generate(context: Any, builder: Any, _signature: object, arguments: Any) -> object:
            code, whole = VectorCode(context, builder, _COLUMNS), context.get_value_type(number)
            to, row, column, by, factor_column, of, *others = arguments
            matrix_row, matrix_column, depth, fetched, rate = others
            starts = [code.row(sums, to, row, i, column) for i in range(rows)]
            scalars = [code.row(factors, by, row, i, factor_column) for i in range(rows)]
            zeros = [code.repeated(ir.FloatType()(0.0)) for _ in code.places]
            before = [code.load(start) if adds else zeros for start in starts]
            totals = [[code.variable(part) for part in parts] for parts in before]
            with cgutils.for_range(builder, depth) as loop:
                lines = builder.lshr(builder.mul(rate, loop.index), whole(8))
                code.prefetch(builder.add(fetched, builder.mul(lines, whole(LINE))))
                place = builder.add(matrix_row, loop.index)
                start = code.row(matrix, of, place, 0, matrix_column)
                parts = code.load(start, is_bfloat16=matrix.dtype == types.uint16)
                for scalar, row_totals in zip(scalars, totals, strict=True):
                    factor = code.repeated(builder.load(builder.gep(scalar, [loop.index])))
                    for part, total in zip(parts, row_totals, strict=True):
                        total_now = builder.load(total)
                        builder.store(code.multiply_add(factor, part, total_now), total)
            for start, row_totals in zip(starts, totals, strict=True):
                code.store([builder.load(total) for total in row_totals], start)
            return context.get_dummy_value()

        return types.void(*left, *right, number, number), generate

    return tile


# Three functions, as one that branches between three tiles takes 1.3 times as long.
_SIZES = (_LARGE, _MEDIUM, ROW_MULTIPLE)
_put_large, _put_medium, _put_small = (_product_tile(rows, adds=False) for rows in _SIZES)
_add_large, _add_medium, _add_small = (_product_tile(rows, adds=True) for rows in _SIZES)


@compiled
def _tile_rows(rows: int) -> int:
    """Return how many of the next ``rows`` rows, a multiple of four, the next tile has.

    Of 12, 8 and 4: 16 rows are two tiles of 8, 20 rows one of 12 and one of 8.
    """
    if rows >= _LARGE and rows != _LARGE + ROW_MULTIPLE:
        return _LARGE
    return _MEDIUM if rows >= _MEDIUM else ROW_MULTIPLE


@compiled
def put_product(
    sums: Any, column: int, factors: Any, matrix: Any, first: int, schedule: Any
) -> None:
    """Put the product of ``factors`` and some rows of a matrix into some columns of ``sums``.

    Args:
        sums: shape (rows, columns), rows a multiple of :data:`ROW_MULTIPLE`.
        column: the first column of ``sums`` that takes the product.
        factors: shape (rows, depth).
        matrix: shape (at least first + depth, width), width a multiple of 32.
        first: the row of the matrix by which the first column of the factors is multiplied.
        schedule: what is fetched meanwhile, see :func:`prefetch_schedule`.
    """
    row, end, depth = 0, sums.shape[0], factors.shape[1]
    while row < end:
        rows = _tile_rows(end - row)
        for n in range(0, matrix.shape[1], _COLUMNS):
            start, rate = _take_lines(schedule, depth)
            if rows == _LARGE:
                _put_large(sums, row, column + n, factors, 0, matrix, first, n, depth, start, rate)
            elif rows == _MEDIUM:
                _put_medium(sums, row, column + n, factors, 0, matrix, first, n, depth, start, rate)
            else:
                _put_small(sums, row, column + n, factors, 0, matrix, first, n, depth, start, rate)
        row += rows


@compiled
def add_product(
    sums: Any, factors: Any, column: int, matrix: Any, first: int, depth: int, schedule: Any
) -> None:
    """Add the product of some columns of ``factors`` and some rows of a matrix to ``sums``.

    Args:
        sums: shape (rows, width), rows a multiple of :data:`ROW_MULTIPLE`.
        factors: shape (rows, at least column + depth).
        column: the first column of the factors.
        matrix: shape (at least first + depth, width).
        first: the first row of the matrix.
        depth: the number of columns, and of rows.
        schedule: what is fetched meanwhile, see :func:`prefetch_schedule`.
    """
    row, end, columns = 0, sums.shape[0], sums.shape[1]
    whole = columns - columns % _COLUMNS
    while row < end:
        rows = _tile_rows(end - row)
        for n in range(0, whole, _COLUMNS):
            start, rate = _take_lines(schedule, depth)
            if rows == _LARGE:
                _add_large(sums, row, n, factors, column, matrix, first, n, depth, start, rate)
            elif rows == _MEDIUM:
                _add_medium(sums, row, n, factors, column, matrix, first, n, depth, start, rate)
            else:
                _add_small(sums, row, n, factors, column, matrix, first, n, depth, start, rate)
        row += rows
    if whole < columns:
        for row in range(end):
            for k in range(depth):
                factor = factors[row, column + k]
                for n in range(whole, columns):
                    sums[row, n] = multiply_add(factor, wide(matrix[first + k, n]), sums[row, n])
