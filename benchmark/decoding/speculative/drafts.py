"""Guesses of what the model will say. None can change what it says; right ones save passes."""

from collections.abc import Callable, Mapping, Sequence

from benchmark.records import TokenIds

Draft = Callable[[Sequence[int]], int | None]
"""The generated tokens in, a guess of the next one out; None for no guess."""

Drafter = Callable[[TokenIds], Draft]
"""A prompt's token ids in, the draft for its completion out."""

_CONTEXT = 3
"""Tokens that must agree before what follows is copied; fewer, where so many never do."""


def copied(prompt: TokenIds) -> Draft:
    """Guess what followed in the prompt where it last said what has just been generated."""
    return _lookup(prompt)


def expected(answers: Mapping[TokenIds, TokenIds]) -> Drafter:
    """Guess the expected answer to each prompt, going on with it after every difference."""

    def drafter(prompt: TokenIds) -> Draft:
        answer = answers.get(prompt, ())
        elsewhere = _lookup(answer)

        def draft(generated: Sequence[int]) -> int | None:
            done = len(generated)
            if tuple(generated) == answer[:done]:
                return answer[done] if done < len(answer) else None
            return elsewhere(generated)

        return draft

    return drafter


def _lookup(text: TokenIds) -> Draft:
    """What follows the last occurrence in the text of the longest end of what is generated."""
    follows: dict[TokenIds, int] = {}
    for width in range(1, _CONTEXT + 1):
        for end in range(width, len(text)):
            follows[text[end - width : end]] = text[end]

    def draft(generated: Sequence[int]) -> int | None:
        for width in range(min(_CONTEXT, len(generated)), 0, -1):
            guess = follows.get(tuple(generated[-width:]))
            if guess is not None:
                return guess
        return None

    return draft
