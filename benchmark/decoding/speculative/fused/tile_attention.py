"""Attention to a prefix and to slots in bfloat16, by AMX's tiles; import it only with Numba."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import prange

from benchmark.decoding.speculative.fused.compilation import compiled, parallel
from benchmark.decoding.speculative.fused.sequences import (
    LINE,
    Stored,
    hide_unseen,
    lines_of,
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
from benchmark.decoding.speculative.fused.vectors import largest, prefetch, weigh

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
def _copy_queries(
    queries: Any, start: int, first: int, group: int, rows: int, factors: Any
) -> None:
    """Copy the queries of ``group`` heads from ``first`` on; the last row is repeated behind."""
    for i in range(factors.shape[0]):
        row = min(i, rows - 1)
        token, head = start + row // group, first + row % group
        for d in range(factors.shape[1]):
            factors[i, d] = queries[token, head, d]


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
def _prefetch_part(sequence: Any, part: int, parts: int) -> None:
    """Fetch one of several parts of a sequence's keys and values from memory."""
    keys, values, lines = lines_of(sequence)
    for line in range(lines * part // parts, lines * (part + 1) // parts):
        prefetch(keys + line * LINE)
        prefetch(values + line * LINE)


@compiled
def _attend_item(
    item: Any,
    head: int,
    next_item: Any,
    next_head: int,
    queries: Any,
    slots: Any,
    shared: Any,
    scaling: Any,
    window: int,
    out: Any,
) -> None:
    """Attend from some tokens of one sequence, and from the heads of one key head's group.

    Rows and columns are those of :func:`vector_attention._attend_item`, with rows up to a multiple
    of 16. The weights of the rows behind the last one are not set, and their sums are not read.
    Before each row's exponentials, a part of the next item's keys and values is fetched.
    """
    slot, start, count, position = item[0], item[1], item[2], item[3]
    group, width = queries.shape[1] // slots.heads, queries.shape[2]
    own = sequence_of(slots, slot, head, position + count)
    soon = sequence_of(slots, next_item[0], next_head, next_item[2] + next_item[3])
    rows, block = count * group, slots.block
    padded = (rows + TILE - 1) // TILE * TILE
    begin, columns = shared.blocks * block, (shared.blocks + own.blocks) * block
    divisors = np.empty(rows, np.float32)
    factors = _aligned(padded, width, queries)
    scores = _aligned(padded, columns, divisors)
    weights = _aligned(padded, columns, queries)
    sums = _aligned(padded, width, divisors)
    last = _aligned(block // 2, 2 * width, queries)
    sums[:] = np.float32(0.0)
    _copy_queries(queries, start, head * group, group, rows, factors)
    configure_tiles()
    _score(factors, shared, scores, 0)
    _score(factors, own, scores, begin)
    for i in range(rows):
        _prefetch_part(soon, i, rows)
        hide_unseen(scores[i], shared.length, begin, position + i // group + 1, window)
        divisors[i] = weigh(scores, i, largest(scores[i]), scaling, weights)
    add_product(sums, weights, 0, shared.values, shared.first_value, begin)
    _add_own_values(weights, begin, own, last, sums)
    release_tiles()
    write_means(sums, divisors, start, head * group, group, out)


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
    prefix_rows, works = prefix_keys.shape[1] * half, items.shape[0] * heads
    for work in prange(works):
        head = work % heads
        following = min(work + 1, works - 1)  # the last has none, and fetches its own
        prefix = Stored(*prefix_matrices, heads, block, width, prefix_rows, prefix_values.shape[1])
        _attend_item(
            items[work // heads],
            head,
            items[following // heads],
            following % heads,
            queries,
            Stored(*matrices, heads, block, width, key_rows, values.shape[2]),
            sequence_of(prefix, 0, head, prefix_length),
            scaling,
            window,
            out,
        )
