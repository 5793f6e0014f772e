"""What a constraint allows along a given answer, whatever the model thinks of it."""

from dataclasses import dataclass, field

from outlines_core import Guide

from benchmark.decoding.constraint import Constraint
from benchmark.records import TokenIds

FORBIDDEN = -1
"""The number of places that the constraint does not let the answer come to."""


@dataclass
class ConstraintTrace:
    """Numbers the distinct sets of allowed tokens in the order in which answers meet them."""

    constraint: Constraint
    sets: list[TokenIds] = field(default_factory=list)
    _numbers: dict[TokenIds, int] = field(default_factory=dict)
    _of_state: dict[int, int] = field(default_factory=dict)

    def along(self, answer: TokenIds) -> tuple[int, ...]:
        """The number of the set that each token of the answer was chosen from.

        After a token that is not allowed come only :data:`FORBIDDEN` ones.
        """
        guide, numbers = Guide(self.constraint.index), list[int]()
        for place, token in enumerate(answer):
            numbers.append(self._number(guide))
            if token not in self.sets[numbers[-1]]:
                return (*numbers, *[FORBIDDEN] * (len(answer) - place - 1))
            if token != self.constraint.eos_id:
                guide.advance(token, return_tokens=False)
        return tuple(numbers)

    def _number(self, guide: Guide) -> int:
        state = guide.get_state()
        if state not in self._of_state:
            allowed = tuple(sorted(guide.get_tokens()))
            number = self._numbers.setdefault(allowed, len(self.sets))
            if number == len(self.sets):
                self.sets.append(allowed)
            self._of_state[state] = number
        return self._of_state[state]
