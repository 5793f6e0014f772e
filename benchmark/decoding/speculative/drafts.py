"""Draft tokens. A draft cannot change what the model says; a right one saves a pass."""

from collections.abc import Callable, Mapping, Sequence

from benchmark.records import TokenIds

DraftFunction = Callable[[Sequence[int]], int | None]
"""Takes the generated tokens and returns a draft of the next one, or None."""

Drafter = Callable[[TokenIds], DraftFunction]
"""Takes a prompt's token ids and returns the draft function for its completion."""

_NGRAM = 3
"""The longest n-gram that is looked up; shorter ones are used if it does not occur."""


_LONGEST_PERIOD = 16
"""The longest text, in tokens, whose repetition is noticed."""


def prompt_lookup(prompt: TokenIds) -> DraftFunction:
    """Draft what followed the last generated n-gram in the prompt (prompt lookup decoding)."""
    return _ngram_lookup(prompt)


def repetition(prompt: TokenIds) -> DraftFunction:
    """Draft the next token of a completion that repeats itself.

    A model that is lost may repeat a few words up to the limit of the answer. After 7 1 2 3 1 2 3,
    whose last three tokens occurred three tokens earlier, the draft is 1.
    """
    del prompt

    def draft(generated: Sequence[int]) -> int | None:
        last = generated[-_NGRAM:]
        for period in range(1, min(_LONGEST_PERIOD, len(generated) - _NGRAM) + 1):
            if generated[-_NGRAM - period : -period] == last:
                return generated[-period]
        return None

    return draft


def expected_answers(answers: Mapping[TokenIds, TokenIds]) -> Drafter:
    """Draft the expected answer to each prompt; after a difference, look up its n-grams."""

    def drafter(prompt: TokenIds) -> DraftFunction:
        answer = answers.get(prompt, ())
        lookup = _ngram_lookup(answer)

        def draft(generated: Sequence[int]) -> int | None:
            count = len(generated)
            if tuple(generated) == answer[:count]:
                return answer[count] if count < len(answer) else None
            return lookup(generated)

        return draft

    return drafter


def _ngram_lookup(text: TokenIds) -> DraftFunction:
    """Return what follows the last occurrence in the text of the longest generated suffix.

    For the text 1 2 3 4 2 5, after ... 1 2 the draft is 3 (the bigram 1 2), and after ... 9 2 it
    is 5 (the last 2).
    """
    next_token: dict[TokenIds, int] = {}
    for width in range(1, _NGRAM + 1):
        for end in range(width, len(text)):
            next_token[text[end - width : end]] = text[end]

    def draft(generated: Sequence[int]) -> int | None:
        for width in range(min(_NGRAM, len(generated)), 0, -1):
            token = next_token.get(tuple(generated[-width:]))
            if token is not None:
                return token
        return None

    return draft
