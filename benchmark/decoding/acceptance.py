"""How often each source of drafts is right, and when a draft is worth its token."""

from collections import Counter
from dataclasses import dataclass

_PRIOR_RIGHT, _PRIOR_SEEN = 1.0, 2.0
_STREAK = 3
"""Longer runs of right guesses are counted together."""


@dataclass(frozen=True, slots=True)
class PassCost:
    """What a pass costs beside its tokens, in tokens.

    Attributes:
        fixed: of the pass: reading the weights, starting kernels.
        per_row: of each row in it: reading the row's keys and values.
    """

    fixed: float
    per_row: float

    def threshold(self, rows: int) -> float:
        """The probability above which computing a draft is cheaper than a pass of its own.

        A right draft saves its row's share of a later pass, a wrong one wastes a token:
        p * share > (1 - p) * 1.
        """
        return 1 / (1 + self.fixed / max(rows, 1) + self.per_row)


class Acceptance:
    """The share of right guesses, by source and by how many in a row were right before.

    Every guess is held against what the model then says, whether it was submitted or not.
    """

    def __init__(self) -> None:
        """Nothing is known: a guess is right with probability 1/2."""
        self.seen: Counter[tuple[str, int]] = Counter()
        self.right: Counter[tuple[str, int]] = Counter()

    def rate(self, source: str, streak: int) -> float:
        """The estimated probability that the next guess is right."""
        key = (source, min(streak, _STREAK))
        return (self.right[key] + _PRIOR_RIGHT) / (self.seen[key] + _PRIOR_SEEN)

    def observe(self, source: str, streak: int, *, right: bool) -> None:
        """Count a guess."""
        key = (source, min(streak, _STREAK))
        self.seen[key] += 1
        self.right[key] += right
