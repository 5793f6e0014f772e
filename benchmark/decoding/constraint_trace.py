"""What a constraint allows at each token of a given answer, independent of any model."""

from dataclasses import dataclass, field

from outlines_core import Guide

from benchmark.decoding.constraint import Constraint
from benchmark.records import TokenIds

FORBIDDEN = -1
"""The set number of positions after a token that the constraint does not allow."""


@dataclass
class ConstraintTrace:
    """Numbers the distinct sets of allowed tokens in order of first occurrence."""

    constraint: Constraint
    sets: list[TokenIds] = field(default_factory=list)
    _numbers: dict[TokenIds, int] = field(default_factory=dict)
    _number_of_state: dict[int, int] = field(default_factory=dict)

    def set_numbers(self, answer: TokenIds) -> tuple[int, ...]:
        """Return the number of the set that each token of the answer was chosen from.

        After a token that is not allowed, and after the end, all numbers are :data:`FORBIDDEN`.
        """
        guide, numbers = Guide(self.constraint.index), list[int]()
        for position, token in enumerate(answer):
            numbers.append(self._number(guide))
            if token == self.constraint.eos_id or token not in self.sets[numbers[-1]]:
                return (*numbers, *[FORBIDDEN] * (len(answer) - position - 1))
            guide.advance(token, return_tokens=False)
        return tuple(numbers)

    def _number(self, guide: Guide) -> int:
        state = guide.get_state()
        if state not in self._number_of_state:
            allowed = tuple(sorted(guide.get_tokens()))
            number = self._numbers.setdefault(allowed, len(self.sets))
            if number == len(self.sets):
                self.sets.append(allowed)
            self._number_of_state[state] = number
        return self._number_of_state[state]
