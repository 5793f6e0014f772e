"""The constraint as an automaton over token ids, and which tokens or text it forces."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from benchmark.decoding.constraint import Constraint

_MAX_CHAIN = 64
"""States that allow more tokens than this are not checked for forced text."""


@dataclass(frozen=True, slots=True)
class Automaton:
    """A finite automaton; states are numbered from 0, the initial state.

    Attributes:
        transitions: by state, the next state after each allowed token; EOS stays in its state.
        single_token: by state, the allowed token if there is exactly one, else None.
        forced_text: by state, the longest allowed token if all allowed tokens spell prefixes of
            it, else None. Then the text is forced, but not how it is split into tokens.
        eos_id: the token that ends a match.
        token_sets: the different sets of allowed tokens, each in ascending order.
        set_of_state: by state, the index of its allowed tokens in ``token_sets``.
    """

    transitions: tuple[Mapping[int, int], ...]
    single_token: tuple[int | None, ...]
    forced_text: tuple[int | None, ...]
    eos_id: int
    token_sets: tuple[tuple[int, ...], ...]
    set_of_state: tuple[int, ...]

    @classmethod
    def from_constraint(cls, constraint: Constraint, token_bytes: Mapping[int, bytes]) -> Self:
        """Return the automaton of a compiled constraint."""
        transitions: dict[int, dict[int, int]] = constraint.index.get_transitions()
        return cls.from_transitions(
            transitions, constraint.index.get_initial_state(), token_bytes, constraint.eos_id
        )

    @classmethod
    def from_transitions(
        cls,
        transitions: Mapping[int, Mapping[int, int]],
        initial: int,
        token_bytes: Mapping[int, bytes],
        eos_id: int,
    ) -> Self:
        """Return the automaton of these transitions, its states renumbered from the initial one."""
        numbers = {initial: 0}
        for state in transitions:
            numbers.setdefault(state, len(numbers))
        renumbered = tuple(
            {token: numbers[after] for token, after in transitions[state].items()}
            for state in numbers
        )
        sets = [tuple(sorted(allowed)) for allowed in renumbered]
        indices = {tokens: index for index, tokens in enumerate(dict.fromkeys(sets))}
        return cls(
            renumbered,
            tuple(next(iter(allowed)) if len(allowed) == 1 else None for allowed in renumbered),
            tuple(_forced_text(allowed, token_bytes) for allowed in renumbered),
            eos_id,
            tuple(indices),
            tuple(indices[tokens] for tokens in sets),
        )


def _forced_text(allowed: Mapping[int, int], token_bytes: Mapping[int, bytes]) -> int | None:
    """Return the longest token if the others spell prefixes of it; EOS has no spelling."""
    if len(allowed) > _MAX_CHAIN or any(token not in token_bytes for token in allowed):
        return None
    # Of two tokens with the same bytes, the single byte has the lower id in SentencePiece.
    longest = max(allowed, key=lambda token: (len(token_bytes[token]), token))
    chain = all(token_bytes[longest].startswith(token_bytes[token]) for token in allowed)
    return longest if chain else None
