"""Where the keys and values of a sequence are, and which of them a token sees.

Import it only with Numba.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from benchmark.decoding.speculative.fused.compilation import compiled
from benchmark.decoding.speculative.fused.numbers import rounded

LINE = 64
"""Bytes of a cache line."""

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


class Stored(NamedTuple):
    """Keys and values of sequences, as matrices with the rows of one head after another.

    Attributes:
        keys: those of a block of tokens after those of another, each with a row per dimension of a
            head, or per two dimensions.
        values: with a row per token, or per two tokens.
        heads: how many heads a sequence has.
        block: how many tokens are in a block.
        width: the dimension of a head.
        key_rows: how many rows of ``keys`` a head has.
        value_rows: how many rows of ``values`` it has.
    """

    keys: "Array"
    values: "Array"
    heads: int
    block: int
    width: int
    key_rows: int
    value_rows: int


class Sequence(NamedTuple):
    """One head of a sequence: where its keys and values begin, and how many there are.

    ``blocks`` is the number of blocks that its ``length`` tokens take, and ``numbers`` how many
    numbers the keys in these blocks have; their values have as many.
    """

    keys: "Array"
    first_key: int
    blocks: int
    values: "Array"
    first_value: int
    length: int
    numbers: int


@compiled
def sequence_of(stored: Any, number: int, head: int, length: int) -> Any:
    """Return a head of a sequence, up to a length.

    With 3 heads of dimension 64 and 13 blocks of 32, head 1 of sequence 2 begins at row
    (2 * 3 + 1) * 13 * 64 of the keys.
    """
    before = number * stored.heads + head
    blocks = (length + stored.block - 1) // stored.block
    return Sequence(
        stored.keys,
        before * stored.key_rows,
        blocks,
        stored.values,
        before * stored.value_rows,
        length,
        blocks * stored.block * stored.width,
    )


@compiled
def lines_of(sequence: Any) -> Any:
    """Return the addresses of a sequence's keys and values, and how many cache lines either has.

    70 tokens of 64 numbers are in three blocks of 32, which are 384 lines in float32.
    """
    size = sequence.keys.itemsize
    keys = sequence.keys.ctypes.data + sequence.first_key * sequence.keys.shape[1] * size
    values = sequence.values.ctypes.data + sequence.first_value * sequence.values.shape[1] * size
    return keys, values, sequence.numbers * size // LINE


@compiled
def write_means(sums: Any, divisors: Any, start: int, first: int, group: int, out: Any) -> None:
    """Divide sums of values, and write them to the tokens and heads of their rows.

    Args:
        sums: in float32, shape (rows or more, head dimension); row r is of token
            start + r // group and head first + r % group.
        divisors: of each row, shape (rows,).
        start: the first token.
        first: the first head.
        group: how many heads a token has here.
        out: shape (tokens, heads, head dimension).
    """
    like = out[0, 0, 0]
    for i in range(divisors.shape[0]):
        token, head = start + i // group, first + i % group
        for d in range(sums.shape[1]):
            out[token, head, d] = rounded(sums[i, d] / divisors[i], like)


@compiled
def hide_unseen(scores: Any, shared: int, begin: int, end: int, window: int) -> None:
    """Set the scores of keys that a token does not see to minus infinity.

    Of a prefix of 40 tokens and a slot with 5, the columns are 0 to 39 and, behind two blocks of
    32, 64 to 68.

    Args:
        scores: of one token, shape (columns,).
        shared: how many tokens the prefix has.
        begin: the column of the slot's first token.
        end: how many tokens of its slot the token sees at most, itself included.
        window: how many of the last tokens it sees, itself included.
    """
    hidden = np.float32(-np.inf)
    first = max(0, shared + end - window)
    scores[: min(first, shared)] = hidden
    scores[shared : begin + max(0, first - shared)] = hidden
    scores[begin + end :] = hidden
