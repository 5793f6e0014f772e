"""All kernels except attention, as functions that Numba compiles; import it only with Numba.

All arrays are contiguous, as each layout is compiled by itself. bfloat16 numbers are arrays of
their bits (see :mod:`benchmark.decoding.speculative.fused.numbers`).
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import prange

from benchmark.decoding.speculative.fused.compilation import compiled, parallel
from benchmark.decoding.speculative.fused.exponentials import gate_vectors
from benchmark.decoding.speculative.fused.numbers import bits_of, exp, rounded, wide
from benchmark.decoding.speculative.fused.vectors import sum_of_squares

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


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
    like, done = gate[0], gate_vectors(gate, up, is_gelu)
    if is_gelu:
        for i in range(done, gate.shape[0]):
            number = wide(gate[i])
            inner = number + np.float32(0.044715) * number * number * number
            # tanh(z) = 2 * sigmoid(2 z) - 1, so that half of (1 + tanh(z)) is sigmoid(2 z).
            power = np.float32(-1.5957691216) * inner
            power = np.float32(88.0) if power > np.float32(88.0) else power
            active = number / (np.float32(1.0) + exp(power))
            gate[i] = rounded(wide(rounded(active, like)) * wide(up[i]), like)
    else:
        for i in range(done, gate.shape[0]):
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
