"""Estimated acceptance rates of draft sources."""

from collections import Counter

_PRIOR_ACCEPTED, _PRIOR_SEEN = 1.0, 2.0
_LONGEST_STREAK = 3
"""Longer runs of right drafts are counted together."""


class Acceptance:
    """The share of right drafts, by source and by how many in a row were right before.

    Every draft is compared with the token that the model then chose, even if it was not computed.
    """

    def __init__(self) -> None:
        """Start with the prior: a draft is right with probability 1/2."""
        self.seen: Counter[tuple[str, int]] = Counter()
        self.accepted: Counter[tuple[str, int]] = Counter()

    def rate(self, source: str, streak: int) -> float:
        """Return the estimated probability that the source's next draft is right."""
        key = (source, min(streak, _LONGEST_STREAK))
        return (self.accepted[key] + _PRIOR_ACCEPTED) / (self.seen[key] + _PRIOR_SEEN)

    def observe(self, source: str, streak: int, *, right: bool) -> None:
        """Count a draft."""
        key = (source, min(streak, _LONGEST_STREAK))
        self.seen[key] += 1
        self.accepted[key] += right
