"""The kernels, as functions that Numba compiles for this processor; import it only with Numba.

All arrays are contiguous, as each layout is compiled by itself. bfloat16 numbers are arrays of
their bits (see :mod:`benchmark.decoding.speculative.fused.numbers`).
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numba import prange

from benchmark.decoding.speculative.fused.compilation import compiled, parallel
from benchmark.decoding.speculative.fused.numbers import bits_of, exp, rounded, wide
from benchmark.decoding.speculative.fused.vectors import (
    LINE,
    ROW_MULTIPLE,
    add_product,
    largest,
    prefetch_schedule,
    put_product,
    steps_of,
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


class _Stored(NamedTuple):
    """Keys and values of sequences, as matrices.

    ``keys`` has shape (sequences * heads * blocks * head dimension, block), ``values`` has shape
    (sequences * heads * length, head dimension).
    """

    keys: "Array"
    values: "Array"
    heads: int
    blocks: int
    length: int


class _Sequence(NamedTuple):
    """The keys and values of one head of a sequence: where they begin, and how many there are."""

    keys: "Array"
    first_key: int
    blocks: int
    values: "Array"
    first_value: int
    length: int


@compiled
def _sequence(stored: Any, number: int, head: int, length: int) -> Any:
    """Return a head of a sequence, up to a length.

    With 3 heads of dimension 64 and 13 blocks of 32, head 1 of sequence 2 begins at row
    (2 * 3 + 1) * 13 * 64 of the keys.
    """
    width, block = stored.values.shape[1], stored.keys.shape[1]
    before = number * stored.heads + head
    return _Sequence(
        stored.keys,
        before * stored.blocks * width,
        (length + block - 1) // block,
        stored.values,
        before * stored.length,
        length,
    )


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
def _schedule_of(sequence: Any, steps: int) -> Any:
    """Return the schedule that fetches keys and values during this number of steps."""
    width, block = sequence.values.shape[1], sequence.keys.shape[1]
    size = sequence.values.itemsize
    keys = sequence.keys.ctypes.data + sequence.first_key * block * size
    values = sequence.values.ctypes.data + sequence.first_value * width * size
    return prefetch_schedule(keys, values, sequence.blocks * block * width * size // LINE, steps)


@compiled
def _score(scaled: Any, sequence: Any, scores: Any, column: int, schedule: Any) -> None:
    """Put the products of queries and keys into the columns of ``scores`` from ``column`` on."""
    width, block = scaled.shape[1], sequence.keys.shape[1]
    for number in range(sequence.blocks):
        row = sequence.first_key + number * width
        put_product(scores, column + number * block, scaled, sequence.keys, row, schedule)


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
    prefix: Any,
    scaling: Any,
    window: int,
    out: Any,
) -> None:
    """Attend from some tokens of one sequence, and from the heads of one key head's group.

    Row r is head r % group of token r // group; behind the last row the last one is repeated, up to
    a multiple of four, and what becomes of it is not read. Keys are scored in whole blocks: those
    behind the last key of the prefix or the slot are there, and get no weight. Of a prefix of 40
    tokens and a slot with 5, the columns are 0 to 39 and, behind two blocks of 32, 64 to 68.
    Meanwhile the keys and values of the next item are fetched from memory.
    """
    slot, start, count, position = item[0], item[1], item[2], item[3]
    group, width, like = queries.shape[1] // slots.heads, queries.shape[2], queries[0, 0, 0]
    shared = _sequence(prefix, 0, head, prefix.length)
    own = _sequence(slots, slot, head, position + count)
    rows, block = count * group, slots.keys.shape[1]
    padded = (rows + ROW_MULTIPLE - 1) // ROW_MULTIPLE * ROW_MULTIPLE
    begin, columns = shared.blocks * block, (shared.blocks + own.blocks) * block
    scaled = np.empty((padded, width), np.float32)
    scores = np.empty((padded, columns), np.float32)
    sums = np.zeros((padded, width), np.float32)
    divisors = np.empty(rows, np.float32)
    soon = _sequence(slots, next_item[0], next_head, next_item[2] + next_item[3])
    steps = steps_of(padded, columns, width) + steps_of(padded, width, shared.length + own.length)
    schedule = _schedule_of(soon, steps)
    _scale_queries(queries, start, head * group, group, rows, scaling, scaled)
    _score(scaled, shared, scores, 0, schedule)
    _score(scaled, own, scores, begin, schedule)
    for i in range(rows):
        end = position + i // group + 1
        first = max(0, shared.length + end - window)
        own_first = begin + max(0, first - shared.length)
        divisors[i] = _exponentiate(
            scores[i], min(first, shared.length), shared.length, own_first, begin + end
        )
    _add_values(scores, 0, shared, sums, schedule)
    _add_values(scores, begin, own, sums, schedule)
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
    matrices = keys.reshape(-1, block), values.reshape(-1, width)
    prefix_matrices = prefix_keys.reshape(-1, block), prefix_values.reshape(-1, width)
    works = items.shape[0] * heads
    for work in prange(works):
        following = min(work + 1, works - 1)  # the last has none, and fetches its own
        _attend_item(
            items[work // heads],
            work % heads,
            items[following // heads],
            following % heads,
            queries,
            _Stored(*matrices, heads, keys.shape[2], values.shape[2]),
            _Stored(*prefix_matrices, heads, prefix_keys.shape[1], prefix_values.shape[1]),
            scaling,
            window,
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
