"""What two sequences of token ids have in common."""

from collections.abc import Sequence
from itertools import takewhile


def common_length(one: Sequence[int], other: Sequence[int]) -> int:
    """The length of their common beginning, in tokens."""
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
