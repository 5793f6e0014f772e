"""Attention to a prefix and to slots, by products of vectors; import it only with Numba."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import prange

from benchmark.decoding.speculative.fused.compilation import compiled, parallel
from benchmark.decoding.speculative.fused.numbers import exp, wide
from benchmark.decoding.speculative.fused.sequences import (
    Stored,
    hide_unseen,
    lines_of,
    sequence_of,
    write_means,
)
from benchmark.decoding.speculative.fused.vectors import (
    ROW_MULTIPLE,
    add_product,
    largest,
    prefetch_schedule,
    put_product,
    steps_of,
    total,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

_NEAR = 128
"""Keys that stay in the processor's first cache while all queries use them: 32 kB in float32."""


@compiled
def _scale_queries(
    queries: Any, start: int, first: int, group: int, rows: int, scaling: Any, scaled: Any
) -> None:
    """Scale the queries of ``group`` heads from ``first`` on; the last row is repeated behind."""
    for i in range(scaled.shape[0]):
        row = min(i, rows - 1)
        query = queries[start + row // group, first + row % group]
        for d in range(scaled.shape[1]):
            scaled[i, d] = wide(query[d]) * scaling


@compiled
def _score(scaled: Any, sequence: Any, scores: Any, column: int, schedule: Any) -> None:
    """Put the products of queries and keys into the columns of ``scores`` from ``column`` on."""
    width, block = scaled.shape[1], sequence.keys.shape[1]
    for number in range(sequence.blocks):
        row = sequence.first_key + number * width
        put_product(scores, column + number * block, scaled, sequence.keys, row, schedule)


@compiled
def _exponentiate(scores: Any) -> Any:
    """Replace scores by their exponentials relative to the largest, and return their sum."""
    top = largest(scores)
    for i in range(scores.shape[0]):
        scores[i] = exp(scores[i] - top)
    return total(scores)


@compiled
def _add_values(weights: Any, column: int, sequence: Any, sums: Any, schedule: Any) -> None:
    """Add values, times their weights from column ``column`` on, to the sums of all queries."""
    for start in range(0, sequence.length, _NEAR):
        near, row = min(_NEAR, sequence.length - start), sequence.first_value + start
        add_product(sums, weights, column + start, sequence.values, row, near, schedule)


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

    Row r is head r % group of token r // group; behind the last row the last one is repeated, up to
    a multiple of four, and what becomes of it is not read. Keys are scored in whole blocks: those
    behind the last key of the prefix or the slot are there, and get no weight; :func:`hide_unseen`
    has an example of columns. Meanwhile the keys and values of the next item are fetched from
    memory.
    """
    slot, start, count, position = item[0], item[1], item[2], item[3]
    group, width = queries.shape[1] // slots.heads, queries.shape[2]
    own = sequence_of(slots, slot, head, position + count)
    rows, block = count * group, slots.block
    padded = (rows + ROW_MULTIPLE - 1) // ROW_MULTIPLE * ROW_MULTIPLE
    begin, columns = shared.blocks * block, (shared.blocks + own.blocks) * block
    scaled = np.empty((padded, width), np.float32)
    scores = np.empty((padded, columns), np.float32)
    sums = np.zeros((padded, width), np.float32)
    divisors = np.empty(rows, np.float32)
    soon = sequence_of(slots, next_item[0], next_head, next_item[2] + next_item[3])
    steps = steps_of(padded, columns, width) + steps_of(padded, width, shared.length + own.length)
    next_keys, next_values, lines = lines_of(soon)
    schedule = prefetch_schedule(next_keys, next_values, lines, steps)
    _scale_queries(queries, start, head * group, group, rows, scaling, scaled)
    _score(scaled, shared, scores, 0, schedule)
    _score(scaled, own, scores, begin, schedule)
    for i in range(rows):
        hide_unseen(scores[i], shared.length, begin, position + i // group + 1, window)
        divisors[i] = _exponentiate(scores[i])
    _add_values(scores, 0, shared, sums, schedule)
    _add_values(scores, begin, own, sums, schedule)
    write_means(sums, divisors, start, head * group, group, out)


@parallel
def attend(
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
    """Store a pass's keys and values; attend to the prefix and to a slot up to the token itself.

    Args:
        queries: shape (tokens, heads, head dimension).
        new_keys: shape (tokens, key heads, head dimension).
        new_values: as ``new_keys``.
        writes: token, slot and position of each write, shape (writes, 3).
        items: slot, first token, number of tokens and position of the first, shape (items, 4).
        keys: of the slots, shape (slots, key heads, blocks, head dimension, block): a token's key
            is a column, so that a block is read from one end to the other.
        values: of the slots, shape (slots, key heads, length, head dimension).
        scaling: what scores are multiplied by.
        window: how many of the last tokens a token sees, itself included.
        prefix_keys: in float32, shape (key heads, blocks, head dimension, block); no blocks if
            there is no prefix.
        prefix_values: in float32, shape (key heads, tokens, head dimension).
        prefix_length: how many tokens the prefix has.
        out: takes the result, as ``queries``; tokens without an item keep theirs.
    """
    heads, width, block = new_keys.shape[1], new_keys.shape[2], keys.shape[4]
    for work in prange(writes.shape[0] * heads):
        i, head = work // heads, work % heads
        token, slot, position = writes[i, 0], writes[i, 1], writes[i, 2]
        for d in range(width):
            keys[slot, head, position // block, d, position % block] = new_keys[token, head, d]
            values[slot, head, position, d] = new_values[token, head, d]
    matrices = keys.reshape(-1, block), values.reshape(-1, width)
    prefix_matrices = prefix_keys.reshape(-1, block), prefix_values.reshape(-1, width)
    prefix_rows, works = prefix_keys.shape[1] * width, items.shape[0] * heads
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
            Stored(*matrices, heads, block, width, keys.shape[2] * width, values.shape[2]),
            sequence_of(prefix, 0, head, prefix_length),
            scaling,
            window,
            out,
        )
