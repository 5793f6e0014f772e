"""The common prefix of token id sequences."""

from collections.abc import Sequence
from itertools import takewhile


def common_prefix_length(one: Sequence[int], other: Sequence[int]) -> int:
    """Return the length of the common prefix, in tokens."""
    length = min(len(one), len(other))
    if one[:length] == other[:length]:  # the usual case of a text that grows, compared at once
        return length
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
