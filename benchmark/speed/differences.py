"""The first difference between two engines' answers, and the margin of that choice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmark.decoding.common_prefix import common_prefix_length
from benchmark.decoding.external.messages import MarginPosition
from benchmark.records import TokenIds


@dataclass(frozen=True, slots=True)
class FirstDifference:
    """The first token of a state's answer that differs from the paper's method.

    Attributes:
        state: the state's index.
        token: the token's index in the answer.
        ours: the engine's token; the end-of-sequence id if its answer has ended.
        theirs: the token of the paper's method.
        margin: the logit of ``theirs`` minus that of ``ours``, in the engine's dtype.
        margin_float32: the same in float32.
        certified: whether the engine's whole answer is a greedy one in its dtype (docs/engines.md).
    """

    state: int
    token: int
    ours: int
    theirs: int
    margin: float | None = None
    margin_float32: float | None = None
    certified: bool | None = None


def first_differences(
    ours: Mapping[int, Sequence[int]], theirs: Mapping[int, Sequence[int]], end: int
) -> list[FirstDifference]:
    """Return the first differing token of each state that both answered differently.

    Later tokens are not compared, as they follow different texts.
    """
    differences = []
    for state in sorted(ours.keys() & theirs.keys()):
        one, other = [*ours[state], end], [*theirs[state], end]
        token = common_prefix_length(one, other)
        # Both end with the end id, so different answers differ before the shorter one ends.
        if token < min(len(one), len(other)):
            differences.append(FirstDifference(state, token, one[token], other[token]))
    return differences


def margin_positions(
    differences: Sequence[FirstDifference],
    prompts: Sequence[TokenIds],
    theirs: Mapping[int, Sequence[int]],
) -> list[MarginPosition]:
    """Return the positions as the engine ``margins`` takes them."""
    return [
        {
            "prompt": list(prompts[difference.state]),
            "before": list(theirs[difference.state][: difference.token]),
            "ours": difference.ours,
            "theirs": difference.theirs,
        }
        for difference in differences
    ]
