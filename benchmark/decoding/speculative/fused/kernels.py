"""The kernels, as functions that Numba compiles for this processor; import it only with Numba.

All arrays are contiguous, as each layout is compiled by itself. bfloat16 numbers are arrays of
their bits (see :mod:`benchmark.decoding.speculative.fused.numbers`).
"""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import prange

from benchmark.decoding.speculative.fused.compilation import compiled, parallel
from benchmark.decoding.speculative.fused.numbers import bits_of, exp, float_of, rounded, wide
from benchmark.decoding.speculative.fused.vectors import (
    LOW_ROWS,
    add_product,
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
def _largest(numbers: Any) -> Any:
    """Return the largest of some numbers, which may ignore a NaN.

    The bits of float32 numbers are in their order if those of negative ones are inverted but for
    the sign. So compared, they are processed many at a time.
    """
    best = np.int32(-(2**31))
    for i in range(numbers.shape[0]):
        bits = np.int32(bits_of(numbers[i]))
        order = bits ^ ((bits >> np.int32(31)) & np.int32(0x7FFFFFFF))
        best = max(best, order)
    return float_of(np.uint32(best ^ ((best >> np.int32(31)) & np.int32(0x7FFFFFFF))))


@compiled
def _exponentiate(scores: Any, first: int, end: int) -> Any:
    """Replace scores by their exponentials relative to the largest, which is returned.

    Only those from ``first`` to ``end`` count; the others become 0. All are exponentiated, so that
    they fill whole vectors.
    """
    largest = _largest(scores[first:end])
    scores[:first] = largest
    scores[end:] = largest
    for i in range(scores.shape[0]):
        scores[i] = exp(scores[i] - largest)
    scores[:first] = np.float32(0.0)
    scores[end:] = np.float32(0.0)
    return largest


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
def _attend_item(
    item: Any,
    head: int,
    queries: Any,
    keys: Any,
    values: Any,
    scaling: Any,
    window: int,
    prefix: Any,
    normalizers: Any,
    out: Any,
) -> None:
    """Attend from some tokens of one sequence, and from the heads of one key head's group.

    Row r is head r % group of token r // group; behind the last row the last one is repeated, up to
    a multiple of four.
    """
    slot, start, count, position = item[0], item[1], item[2], item[3]
    group, width = queries.shape[1] // keys.shape[1], queries.shape[2]
    slot_keys, slot_values = keys[slot, head], values[slot, head]
    rows, length, like = count * group, position + count, queries[0, 0, 0]
    padded = (rows + LOW_ROWS - 1) // LOW_ROWS * LOW_ROWS
    # Whole blocks of keys: those behind the last one are there, and get no weight.
    block = slot_keys.shape[2]
    blocks = (length + block - 1) // block
    scaled = np.empty((padded, width), np.float32)
    scores = np.empty((padded, blocks * block), np.float32)
    sums = np.zeros((padded, width), np.float32)
    normalizer = np.empty(padded, np.float32)
    divisor = np.empty(padded, np.float32)
    _scale_queries(queries, start, head * group, group, rows, scaling, scaled)
    for number in range(blocks):
        next_keys = slot_keys[min(number + 1, blocks - 1)]
        own_values = slot_values[number * block : (number + 1) * block]
        own_keys = slot_keys[number]
        put_product(scores, number * block, block, scaled, own_keys, next_keys, own_values)
    for i in range(padded):
        own = position + min(i, rows - 1) // group + 1
        largest = _exponentiate(scores[i], max(0, own - window), own)
        divisor[i] = total(scores[i])
        normalizer[i] = largest + np.float32(math.log(divisor[i]))
    for first in range(0, length, _NEAR):
        near_values = slot_values[first : min(first + _NEAR, length)]
        add_product(sums, 0, width, scores, first, near_values)
    for i in range(rows):
        token, member = start + i // group, i % group
        result = out[token, head * group + member]
        if prefix.shape[0] > 0:
            apart = normalizers[member, token, head] - normalizer[i]
            apart = np.float32(80.0) if apart > np.float32(80.0) else apart
            share = np.float32(1.0) / (np.float32(1.0) + exp(apart))
            others = prefix[member, token, head]
            rest, factor = np.float32(1.0) - share, share / divisor[i]
            for d in range(width):
                result[d] = rounded(sums[i, d] * factor + wide(others[d]) * rest, like)
        else:
            for d in range(width):
                result[d] = rounded(sums[i, d] / divisor[i], like)


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
    prefix: "Array",
    normalizers: "Array",
    out: "Array",
) -> None:
    """Store a pass's keys and values in the slots, and attend to the slots and to the prefix.

    A token attends to its own slot up to itself; what it found in the prefix is merged with that by
    their softmax normalizers (see :mod:`benchmark.decoding.speculative.attention`).

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
        prefix: attention to the prefix, shape (group, tokens, key heads, head dimension); no
            groups if there is no prefix.
        normalizers: of ``prefix``, shape (group, tokens, key heads), in float32.
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
            prefix,
            normalizers,
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
