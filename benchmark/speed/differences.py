"""Where two engines' answers part, and how near the choice was that they made differently."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmark.decoding.common_prefix import common_length
from benchmark.records import TokenIds
from benchmark.speed.messages import AnswerDifference


@dataclass(frozen=True, slots=True)
class Parting:
    """The first token of a state's answer that differs from the paper's method.

    Attributes:
        state: the state's place.
        token: the token's place in the answer.
        ours: the engine's token; the end of the sequence where its answer is over.
        theirs: the token of the paper's method.
        margin: how far the logit of ``theirs`` is above that of ``ours`` in the engine's dtype.
        margin_float32: the same in float32.
    """

    state: int
    token: int
    ours: int
    theirs: int
    margin: float | None = None
    margin_float32: float | None = None


def partings(
    ours: Mapping[int, Sequence[int]], theirs: Mapping[int, Sequence[int]], end: int
) -> list[Parting]:
    """The first differing token of each state that both answered, differently.

    The tokens after it say no more: their texts are others.
    """
    found = []
    for state in sorted(ours.keys() & theirs.keys()):
        one, other = [*ours[state], end], [*theirs[state], end]
        place = common_length(one, other)
        # An answer ends at its end: one of two that are the same so far has it, or a token.
        if place < min(len(one), len(other)):
            found.append(Parting(state, place, one[place], other[place]))
    return found


def as_work(
    found: Sequence[Parting], prompts: Sequence[TokenIds], theirs: Mapping[int, Sequence[int]]
) -> list[AnswerDifference]:
    """The same as what the engine ``margins`` is asked."""
    return [
        {
            "prompt": list(prompts[parting.state]),
            "before": list(theirs[parting.state][: parting.token]),
            "ours": parting.ours,
            "theirs": parting.theirs,
        }
        for parting in found
    ]
