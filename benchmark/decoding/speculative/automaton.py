"""The constraint as an automaton over token ids, and what it forces."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from benchmark.decoding.constraint import Constraint

_CHAIN = 64
"""More allowed tokens than this are a choice, whatever they spell."""


@dataclass(frozen=True, slots=True)
class Automaton:
    """States are counted from 0, where decoding begins.

    Attributes:
        steps: by state, where each allowed token leads; EOS stays where it is.
        only: by state, the one token that is allowed, where there is but one.
        forced: by state, the longest token of those that all spell a beginning of the same bytes:
            the text is forced there, its tokens are not. None elsewhere.
        eos_id: the token that ends a match.
    """

    steps: tuple[Mapping[int, int], ...]
    only: tuple[int | None, ...]
    forced: tuple[int | None, ...]
    eos_id: int

    @classmethod
    def of(cls, constraint: Constraint, token_bytes: Mapping[int, bytes]) -> Self:
        """The automaton of a compiled constraint."""
        transitions: dict[int, dict[int, int]] = constraint.index.get_transitions()
        return cls.build(
            transitions, constraint.index.get_initial_state(), token_bytes, constraint.eos_id
        )

    @classmethod
    def build(
        cls,
        transitions: Mapping[int, Mapping[int, int]],
        initial: int,
        token_bytes: Mapping[int, bytes],
        eos_id: int,
    ) -> Self:
        """Number the states of the transitions, beginning with the initial one."""
        numbers = {initial: 0}
        for state in transitions:
            numbers.setdefault(state, len(numbers))
        steps = tuple(
            {token: numbers[after] for token, after in transitions[state].items()}
            for state in numbers
        )
        return cls(
            steps,
            tuple(next(iter(allowed)) if len(allowed) == 1 else None for allowed in steps),
            tuple(_forced(allowed, token_bytes) for allowed in steps),
            eos_id,
        )


def _forced(allowed: Mapping[int, int], token_bytes: Mapping[int, bytes]) -> int | None:
    """The longest token, where the others spell beginnings of it; EOS has no spelling."""
    if len(allowed) > _CHAIN or any(token not in token_bytes for token in allowed):
        return None
    # Of two tokens with the same bytes SentencePiece counts the single byte first.
    longest = max(allowed, key=lambda token: (len(token_bytes[token]), token))
    chain = all(token_bytes[longest].startswith(token_bytes[token]) for token in allowed)
    return longest if chain else None
