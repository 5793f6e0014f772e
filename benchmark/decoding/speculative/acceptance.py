"""How often each source of drafts is right."""

from collections import Counter

_PRIOR_RIGHT, _PRIOR_SEEN = 1.0, 2.0
_STREAK = 3
"""Longer runs of right guesses are counted together."""


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
