"""The kernels, as functions that Numba compiles for this processor; import it only with Numba.

All arrays are contiguous, as each layout is compiled by itself. bfloat16 numbers are arrays of
their bits (see :mod:`benchmark.decoding.speculative.fused.numbers`).
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import prange

from benchmark.decoding.speculative.fused.compilation import compiled, parallel
from benchmark.decoding.speculative.fused.numbers import bits_of, exp, rounded, wide
from benchmark.decoding.speculative.fused.vectors import (
    LOW_ROWS,
    add_product,
    largest,
    put_product,
    sum_of_squares,
    total,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

_NEAR = 128
"""Keys that stay in the processor's first cache while all queries use them: 32 kB in float32."""


@compiled
def _normalize_row(
    row: Any, weight: Any, epsilon: Any, adds_one: Any, rounds: Any, out: Any
) -> None:
    like = row[0]
    factor = np.float32(1.0) / np.sqrt(sum_of_squares(row) / np.float32(row.shape[0]) + epsilon)
    if adds_one:
        for i in range(row.shape[0]):
            number = wide(row[i]) * factor
            out[i] = rounded(number * (np.float32(1.0) + wide(weight[i])), like)
    elif rounds:
        for i in range(row.shape[0]):
            number = wide(rounded(wide(row[i]) * factor, like))
            out[i] = rounded(number * wide(weight[i]), like)
    else:
        for i in range(row.shape[0]):
            out[i] = rounded(wide(row[i]) * factor * wide(weight[i]), like)


@parallel
def normalize(
    states: "Array",
    weight: "Array",
    epsilon: np.float32,
    adds_one: bool,
    rounds: bool,
    out: "Array",
) -> None:
    """Divide each row by its root mean square, and multiply it by the weight.

    Args:
        states: shape (rows, width).
        weight: shape (width,).
        epsilon: added to the mean square.
        adds_one: whether 1 is added to the weight.
        rounds: whether the quotient is rounded to the states' type before it is multiplied.
        out: takes the result, shape (rows, width).
    """
    for row in prange(states.shape[0]):
        _normalize_row(states[row], weight, epsilon, adds_one, rounds, out[row])


@parallel
def add_and_normalize(
    states: "Array",
    changes: "Array",
    weight: "Array",
    epsilon: np.float32,
    adds_one: bool,
    rounds: bool,
    out: "Array",
) -> None:
    """Put the sums of states and changes in place of the changes, and normalize them.

    Args:
        states: shape (rows, width).
        changes: shape (rows, width); takes the sums.
        weight: see :func:`normalize`.
        epsilon: see :func:`normalize`.
        adds_one: see :func:`normalize`.
        rounds: see :func:`normalize`.
        out: takes the norm of the sums, shape (rows, width).
    """
    for row in prange(states.shape[0]):
        sums = changes[row]
        like = sums[0]
        for i in range(sums.shape[0]):
            sums[i] = rounded(wide(states[row, i]) + wide(sums[i]), like)
        _normalize_row(sums, weight, epsilon, adds_one, rounds, out[row])


@compiled
def _gate_row(gate: Any, up: Any, is_gelu: Any) -> None:
    like = gate[0]
    if is_gelu:
        for i in range(gate.shape[0]):
            number = wide(gate[i])
            inner = number + np.float32(0.044715) * number * number * number
            # tanh(z) = 2 * sigmoid(2 z) - 1, so that half of (1 + tanh(z)) is sigmoid(2 z).
            power = np.float32(-1.5957691216) * inner
            power = np.float32(88.0) if power > np.float32(88.0) else power
            active = number / (np.float32(1.0) + exp(power))
            gate[i] = rounded(wide(rounded(active, like)) * wide(up[i]), like)
    else:
        for i in range(gate.shape[0]):
            number = wide(gate[i])
            power = np.float32(88.0) if number < np.float32(-88.0) else -number
            active = number / (np.float32(1.0) + exp(power))
            gate[i] = rounded(wide(rounded(active, like)) * wide(up[i]), like)


@parallel
def gate(gates: "Array", ups: "Array", is_gelu: bool) -> None:
    """Put the product of activated gates and ups, shape (rows, width) each, in place of the gates.

    The activation is SiLU, or the approximation of GELU by tanh.
    """
    for row in prange(gates.shape[0]):
        _gate_row(gates[row], ups[row], is_gelu)


@compiled
def _rotate_head(head: Any, cosines: Any, sines: Any, out: Any) -> None:
    like, half = head[0], head.shape[0] // 2
    for i in range(half):
        one, other = wide(head[i]), wide(head[i + half])
        straight = wide(rounded(one * wide(cosines[i]), like))
        across = wide(rounded(other * wide(sines[i]), like))
        out[i] = rounded(straight - across, like)
        straight = wide(rounded(other * wide(cosines[i + half]), like))
        across = wide(rounded(one * wide(sines[i + half]), like))
        out[i + half] = rounded(straight + across, like)


@parallel
def rotate(
    queries: "Array",
    keys: "Array",
    cosines: "Array",
    sines: "Array",
    out: "Array",
    key_out: "Array",
) -> None:
    """Rotate the halves of each head against one another, by angles of the token's position.

    Args:
        queries: shape (tokens, heads, head dimension).
        keys: shape (tokens, key heads, head dimension).
        cosines: of the angles, shape (tokens, head dimension).
        sines: of the angles, shape (tokens, head dimension).
        out: takes the queries.
        key_out: takes the keys.
    """
    for token in prange(queries.shape[0]):
        for head in range(queries.shape[1]):
            _rotate_head(queries[token, head], cosines[token], sines[token], out[token, head])
        for head in range(keys.shape[1]):
            _rotate_head(keys[token, head], cosines[token], sines[token], key_out[token, head])


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
def _score(
    scaled: Any, shared_keys: Any, slot_keys: Any, slot_values: Any, blocks: int, scores: Any
) -> None:
    """Put the products of queries and keys into ``scores``: of the prefix, then of the slot.

    Meanwhile the slot's keys and values are fetched from memory; the prefix is read for every
    sequence, so that it is near.
    """
    block, behind = slot_keys.shape[2], shared_keys.shape[0]
    for number in range(behind):
        soon = min(number, blocks - 1)
        soon_keys, soon_values = slot_keys[soon], slot_values[soon * block : (soon + 1) * block]
        put_product(
            scores, number * block, block, scaled, shared_keys[number], soon_keys, soon_values
        )
    for number in range(blocks):
        soon_keys = slot_keys[min(number + 1, blocks - 1)]
        own_keys, own_values = slot_keys[number], slot_values[number * block : (number + 1) * block]
        column = (behind + number) * block
        put_product(scores, column, block, scaled, own_keys, soon_keys, own_values)


@compiled
def _exponentiate(scores: Any, first: int, shared: int, own: int, end: int) -> Any:
    """Replace scores by their exponentials relative to the largest, and return their sum.

    Only those from ``first`` to ``shared`` and from ``own`` to ``end`` count; the others become 0.
    """
    hidden = np.float32(-np.inf)
    scores[:first] = hidden
    scores[shared:own] = hidden
    scores[end:] = hidden
    top = largest(scores)
    for i in range(scores.shape[0]):
        scores[i] = exp(scores[i] - top)
    return total(scores)


@compiled
def _add_values(weights: Any, first: int, values: Any, length: int, sums: Any) -> None:
    """Add values, times their weights from column ``first`` on, to the sums of all queries."""
    for start in range(0, length, _NEAR):
        near_values = values[start : min(start + _NEAR, length)]
        add_product(sums, 0, sums.shape[1], weights, first + start, near_values)


@compiled
def _attend_item(
    item: Any,
    head: int,
    queries: Any,
    keys: Any,
    values: Any,
    scaling: Any,
    window: int,
    prefix_keys: Any,
    prefix_values: Any,
    out: Any,
) -> None:
    """Attend from some tokens of one sequence, and from the heads of one key head's group.

    Row r is head r % group of token r // group; behind the last row the last one is repeated, up to
    a multiple of four. Keys are scored in whole blocks: those behind the last key of the prefix or
    the slot are there, and get no weight. Of a prefix of 40 tokens and a slot with 5, the columns
    are 0 to 39 and, behind two blocks of 32, 64 to 68.
    """
    slot, start, count, position = item[0], item[1], item[2], item[3]
    group, width, like = queries.shape[1] // keys.shape[1], queries.shape[2], queries[0, 0, 0]
    shared, length, rows = prefix_values.shape[1], position + count, count * group
    padded = (rows + LOW_ROWS - 1) // LOW_ROWS * LOW_ROWS
    block = keys.shape[4]
    begin, blocks = prefix_keys.shape[1] * block, (length + block - 1) // block
    scaled = np.empty((padded, width), np.float32)
    scores = np.empty((padded, begin + blocks * block), np.float32)
    sums = np.zeros((padded, width), np.float32)
    divisors = np.empty(padded, np.float32)
    _scale_queries(queries, start, head * group, group, rows, scaling, scaled)
    _score(scaled, prefix_keys[head], keys[slot, head], values[slot, head], blocks, scores)
    for i in range(padded):
        own = position + min(i, rows - 1) // group + 1
        first = max(0, shared + own - window)
        own_first = begin + max(0, first - shared)
        divisors[i] = _exponentiate(scores[i], min(first, shared), shared, own_first, begin + own)
    _add_values(scores, 0, prefix_values[head], shared, sums)
    _add_values(scores, begin, values[slot, head], length, sums)
    for i in range(rows):
        result = out[start + i // group, head * group + i % group]
        for d in range(width):
            result[d] = rounded(sums[i, d] / divisors[i], like)


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
    out: "Array",
) -> None:
    """Store a pass's keys and values in the slots, and attend to the prefix and the slots.

    A token attends to the prefix, and to its own slot up to itself.

    Args:
        queries: shape (tokens, heads, head dimension).
        new_keys: shape (tokens, key heads, head dimension).
        new_values: as ``new_keys``.
        writes: token, slot and position of each write, shape (writes, 3).
        items: slot, first token, number of tokens and position of the first, shape (items, 4).
        keys: of the slots, shape (slots, key heads, blocks, head dimension, block): a token's key
            is a column, so that the scores of neighbouring keys are computed at once, and a block
            of them is read from one end of it to the other.
        values: of the slots, shape (slots, key heads, length, head dimension).
        scaling: what scores are multiplied by.
        window: how many of the last tokens a token sees, itself included.
        prefix_keys: in float32, shape (key heads, blocks, head dimension, block); no blocks if
            there is no prefix.
        prefix_values: in float32, shape (key heads, tokens, head dimension).
        out: takes the result, shape (tokens, heads, head dimension); tokens without an item keep
            theirs.
    """
    heads, width, block = new_keys.shape[1], new_keys.shape[2], keys.shape[4]
    for work in prange(writes.shape[0] * heads):
        i, head = work // heads, work % heads
        token, slot, position = writes[i, 0], writes[i, 1], writes[i, 2]
        for d in range(width):
            keys[slot, head, position // block, d, position % block] = new_keys[token, head, d]
            values[slot, head, position, d] = new_values[token, head, d]
    for work in prange(items.shape[0] * heads):
        _attend_item(
            items[work // heads],
            work % heads,
            queries,
            keys,
            values,
            scaling,
            window,
            prefix_keys,
            prefix_values,
            out,
        )


@compiled
def _largest_magnitude(row: Any) -> Any:
    """Return the bits of a row's largest magnitude; an infinity or NaN has larger ones."""
    largest = np.int32(0)
    for i in range(row.shape[0]):
        largest = max(largest, np.int32(bits_of(wide(row[i]))) & np.int32(0x7FFFFFFF))
    return largest


@parallel
def choose(
    logits: "Array", sets: "Array", starts: "Array", tokens: "Array", not_finite: int, out: "Array"
) -> None:
    """Choose the likeliest allowed token for each row of logits, of equals the lowest.

    Args:
        logits: shape (rows, vocabulary).
        sets: which set of tokens each row allows, shape (rows,).
        starts: where each set begins in ``tokens``, and the end of the last one.
        tokens: the sets, each in ascending order, one after another.
        not_finite: the answer for a row whose logits are not all finite.
        out: takes the tokens, shape (rows,).
    """
    for row in prange(logits.shape[0]):
        if _largest_magnitude(logits[row]) >= np.int32(0x7F800000):
            out[row] = not_finite
        else:
            first, end = starts[sets[row]], starts[sets[row] + 1]
            best = tokens[first]
            for i in range(first + 1, end):
                if wide(logits[row, tokens[i]]) > wide(logits[row, best]):
                    best = tokens[i]
            out[row] = best
