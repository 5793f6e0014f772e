"""Attention to a prefix and to slots in bfloat16, by AMX's tiles; import it only with Numba."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import prange

from benchmark.decoding.speculative.fused.compilation import compiled, parallel
from benchmark.decoding.speculative.fused.exponentials import weigh
from benchmark.decoding.speculative.fused.sequences import (
    LINE,
    Stored,
    hide_unseen,
    sequence_of,
    write_means,
)
from benchmark.decoding.speculative.fused.tiles import (
    TILE,
    add_product,
    configure_tiles,
    put_product,
    release_tiles,
)
from benchmark.decoding.speculative.fused.vectors import largest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


@compiled
def _aligned(rows: int, columns: int, like: Any) -> Any:
    """Return a matrix of numbers of a type, which begins with a cache line.

    A tile's rows would each be in two lines otherwise.
    """
    numbers = LINE // like.itemsize
    memory = np.empty(rows * columns + numbers, like.dtype)
    first = -memory.ctypes.data % LINE // like.itemsize
    return memory[first : first + rows * columns].reshape(rows, columns)


@compiled
def _whole_tiles(rows: int) -> int:
    """Return the number of rows of whole tiles: of 17 rows, 32."""
    return (rows + TILE - 1) // TILE * TILE


@compiled
def _own(item: Any, head: int, slots: Any) -> Any:
    """Return what the tokens of an item see of their own sequence."""
    return sequence_of(slots, item[0], head, item[2] + item[3])


@compiled
def _copy_queries(queries: Any, items: Any, head: int, group: int, factors: Any) -> None:
    """Copy the queries of the items' tokens, ``group`` heads each, to rows one behind another."""
    row = 0
    for number in range(items.shape[0]):
        start, count = items[number, 1], items[number, 2]
        for i in range(count * group):
            token, one = start + i // group, head * group + i % group
            for d in range(factors.shape[1]):
                factors[row + i, d] = queries[token, one, d]
        row += count * group


@compiled
def _score(queries: Any, sequence: Any, scores: Any, column: int) -> None:
    """Put the products of queries and keys into the columns of ``scores`` from ``column`` on."""
    width, block = queries.shape[1], sequence.keys.shape[1] // 2
    for number in range(sequence.blocks):
        pair = sequence.first_key + number * width // 2
        put_product(scores, column + number * block, queries, sequence.keys, pair, width)


@compiled
def _add_own_values(weights: Any, column: int, sequence: Any, last: Any, sums: Any) -> None:
    """Add values, times their weights from column ``column`` on, to the sums of all queries.

    If the last block is not whole, it is copied to ``last``, with 0 behind the last token: the
    product takes whole blocks, and what an earlier sequence has left there may be infinite. With 70
    tokens, rows 32 to 34 of pairs have tokens 64 to 69, and rows 35 to 47 are replaced.
    """
    block, width = 2 * last.shape[0], last.shape[1]
    whole = sequence.length // block
    add_product(sums, weights, column, sequence.values, sequence.first_value, whole * block)
    left = sequence.length - whole * block
    if left:
        last[:] = 0
        for i in range((left + 1) // 2):
            row = sequence.first_value + whole * block // 2 + i
            for d in range(width):
                last[i, d] = sequence.values[row, d]
        if left % 2:
            last[left // 2, 1::2] = 0
        add_product(sums, weights, column + whole * block, last, 0, block)


@compiled
def _attend_bundle(
    items: Any,
    head: int,
    queries: Any,
    slots: Any,
    shared: Any,
    scaling: Any,
    window: int,
    out: Any,
) -> None:
    """Attend from the tokens of some items, and from the heads of one key head's group.

    Rows are those of :func:`vector_attention._attend_item`, an item's behind those of the one
    before. The prefix is read once for all of them: that takes longer than multiplying it. Of an
    item, products by tiles end in rows of the next one, or in 16 rows behind the last: there they
    are replaced when it is the next one's turn, or not read. With 5 and 4 tokens of 3 heads, rows
    15 to 26 are those of the second item, whose sums are computed after those of rows 0 to 15.
    """
    group, width, block = queries.shape[1] // slots.heads, queries.shape[2], slots.block
    tokens, blocks = 0, 0
    for number in range(items.shape[0]):
        tokens += items[number, 2]
        blocks = max(blocks, _own(items[number], head, slots).blocks)
    rows, begin = tokens * group, shared.blocks * block
    padded, columns = _whole_tiles(rows), begin + blocks * block
    divisors = np.empty(rows, np.float32)
    factors = _aligned(padded + TILE, width, queries)
    scores = _aligned(padded + TILE, columns, divisors)
    weights = _aligned(padded + TILE, columns, queries)
    sums = _aligned(padded + TILE, width, divisors)
    last = _aligned(block // 2, 2 * width, queries)
    _copy_queries(queries, items, head, group, factors)
    configure_tiles()
    _score(factors[:padded], shared, scores[:padded], 0)
    row = 0
    for number in range(items.shape[0]):
        count, position = items[number, 2] * group, items[number, 3]
        own = _own(items[number], head, slots)
        these = slice(row, row + _whole_tiles(count))
        _score(factors[these], own, scores[these], begin)
        end = begin + own.blocks * block
        for i in range(count):
            seen = scores[row + i, :end]
            hide_unseen(seen, shared.length, begin, position + i // group + 1, window)
            divisors[row + i] = weigh(seen, largest(seen), scaling, weights[row + i, :end])
        sums[these] = np.float32(0.0)
        _add_own_values(weights[these], begin, own, last, sums[these])
        row += count
    add_product(sums[:padded], weights[:padded], 0, shared.values, shared.first_value, begin)
    release_tiles()
    row = 0
    for number in range(items.shape[0]):
        count = items[number, 2] * group
        these = slice(row, row + count)
        write_means(sums[these], divisors[these], items[number, 1], head * group, group, out)
        row += count


@compiled
def _write_pairs(row: Any, first: int, column: int, matrix: Any) -> None:
    """Write a token's key into a column of pairs, from row ``first`` of a matrix on.

    Dimensions 10 and 11 of the key at column 6 are row ``first`` + 5, places 12 and 13.
    """
    for p in range(row.shape[0] // 2):
        matrix[first + p, 2 * column] = row[2 * p]
        matrix[first + p, 2 * column + 1] = row[2 * p + 1]


@compiled
def _write_every_second(row: Any, first: int, matrix_row: Any) -> None:
    """Write a token's value into every second place of a row of pairs."""
    for d in range(row.shape[0]):
        matrix_row[2 * d + first] = row[d]


@parallel
def attend(  # noqa: D417  # the others are documented in vector_attention
    bundles: "Array",
    queries: "Array",
    new_keys: "Array",
    new_values: "Array",
    writes: "Array",
    items: "Array",
    keys: "Array",
    values: "Array",
    scaling: np.float32,
    window: int,
    prefix_keys: "Array",
    prefix_values: "Array",
    prefix_length: int,
    out: "Array",
) -> None:
    """Store a pass's keys and values in the slots, and attend to the prefix and the slots.

    Scores are summed in float32, their exponentials rounded to bfloat16, and the values with these
    weights summed in float32. Other arguments are those of :func:`vector_attention.attend`.

    Args:
        bundles: which items are attended together: bundle b has items ``bundles[b]`` to
            ``bundles[b + 1] - 1``, shape (bundles + 1,).
        queries: shape (tokens, heads, head dimension); the head dimension is a multiple of 32.
        keys: of the slots, shape (slots, key heads, blocks, head dimension / 2, block, 2): pairs of
            dimensions of a token's key are adjacent, as the product takes them.
        values: of the slots, shape (slots, key heads, length / 2, head dimension, 2): pairs of
            tokens are adjacent.
        scaling: what scores are multiplied by; more than 0.
        prefix_keys: shape (key heads, blocks, head dimension / 2, block, 2), or no blocks.
        prefix_values: shape (key heads, length / 2, head dimension, 2); whole blocks, with zeros
            behind the last token.
    """
    heads, width, block = new_keys.shape[1], new_keys.shape[2], keys.shape[4]
    half, key_rows = width // 2, keys.shape[2] * (width // 2)
    matrices = keys.reshape(-1, 2 * block), values.reshape(-1, 2 * width)
    for work in prange(writes.shape[0] * heads):
        i, head = work // heads, work % heads
        token, slot, position = writes[i, 0], writes[i, 1], writes[i, 2]
        before = slot * heads + head
        first = before * key_rows + position // block * half
        _write_pairs(new_keys[token, head], first, position % block, matrices[0])
        row = before * values.shape[2] + position // 2
        _write_every_second(new_values[token, head], position % 2, matrices[1][row])
    prefix_matrices = prefix_keys.reshape(-1, 2 * block), prefix_values.reshape(-1, 2 * width)
    prefix_rows = prefix_keys.shape[1] * half
    for work in prange((bundles.shape[0] - 1) * heads):
        bundle, head = work // heads, work % heads
        prefix = Stored(*prefix_matrices, heads, block, width, prefix_rows, prefix_values.shape[1])
        _attend_bundle(
            items[bundles[bundle] : bundles[bundle + 1]],
            head,
            queries,
            Stored(*matrices, heads, block, width, key_rows, values.shape[2]),
            sequence_of(prefix, 0, head, prefix_length),
            scaling,
            window,
            out,
        )
