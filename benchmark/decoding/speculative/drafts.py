"""Sources of draft tokens. A draft cannot change what the model says; a right one saves a pass."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from benchmark.decoding.common_prefix import common_prefix_length
from benchmark.records import TokenIds


class Draft(NamedTuple):
    """The next token, as a source predicts it.

    ``basis`` numbers what the prediction is based on, such as the length of an n-gram: drafts of a
    source with the same basis are about as often right.
    """

    token: int
    basis: int = 0


DraftFunction = Callable[[Sequence[int]], Draft | None]
"""Takes the generated tokens and returns a draft of the next one, or None."""

Drafter = Callable[[TokenIds], DraftFunction]
"""Takes a prompt's token ids and returns the draft function for its completion."""

_NGRAM = 3
"""The longest n-gram that is looked up; shorter ones are used if it does not occur."""


def prompt_lookup(prompt: TokenIds) -> DraftFunction:
    """Draft what followed the last generated n-gram in the prompt (prompt lookup decoding)."""
    return _ngram_lookup(prompt)


def completion_lookup(prompt: TokenIds) -> DraftFunction:
    """Draft what followed the last generated n-gram when it was generated before.

    After 4 2 3 5 2 3, whose last bigram occurred before, the draft is 5.
    """
    del prompt
    return _Completion().draft


def expected_answers(answers: Mapping[TokenIds, TokenIds]) -> Drafter:
    """Draft the expected answer to each prompt; after a difference, look up its n-grams."""

    def drafter(prompt: TokenIds) -> DraftFunction:
        answer = answers.get(prompt, ())
        lookup = _ngram_lookup(answer)

        def draft(generated: Sequence[int]) -> Draft | None:
            count = len(generated)
            if tuple(generated) == answer[:count]:
                return Draft(answer[count]) if count < len(answer) else None
            return lookup(generated)

        return draft

    return drafter


def _ngram_lookup(text: TokenIds) -> DraftFunction:
    """Return what follows the last occurrence in the text of the longest generated suffix.

    For the text 1 2 3 4 2 5, after ... 1 2 the draft is 3 (the bigram 1 2), and after ... 9 2 it
    is 5 (the last 2). Its basis is the length of the suffix.
    """
    next_token: dict[TokenIds, int] = {}
    for width in range(1, _NGRAM + 1):
        for end in range(width, len(text)):
            next_token[text[end - width : end]] = text[end]

    def draft(generated: Sequence[int]) -> Draft | None:
        for suffix in _suffixes(generated):
            token = next_token.get(suffix)
            if token is not None:
                return Draft(token, len(suffix))
        return None

    return draft


def _suffixes(tokens: Sequence[int]) -> list[TokenIds]:
    """Return the last n-grams of some tokens, the longest first."""
    longest = tuple(tokens[-_NGRAM:])
    return [longest[start:] for start in range(len(longest))]


class _Completion:
    """What followed each n-gram of a text that grows, and shrinks when drafts are rejected."""

    def __init__(self) -> None:
        self._text: list[int] = []
        self._followers: defaultdict[TokenIds, list[int]] = defaultdict(list)

    def draft(self, generated: Sequence[int]) -> Draft | None:
        """Return what followed the longest suffix before, and its length as the basis."""
        common = common_prefix_length(self._text, generated)
        while len(self._text) > common:
            self._text.pop()
            for ngram in _suffixes(self._text):
                self._followers[ngram].pop()
        for token in generated[common:]:
            for ngram in _suffixes(self._text):
                self._followers[ngram].append(token)
            self._text.append(token)
        for suffix in _suffixes(generated):
            if followers := self._followers.get(suffix):
                return Draft(followers[-1], len(suffix))
        return None


_MOST_NGRAMS = 100_000
"""N-grams of a run's answers that are counted, at most: some 30 MB if each has one follower."""

_CERTAINTIES = 10
"""Drafts from a run's answers are told apart by tenths of the share of their n-gram's tokens."""


class AnswerNgrams:
    """What followed the n-grams of all answers of a run so far.

    A model repeats its phrases from answer to answer: one that says "contains nothing" of the last
    boxes does so in the next answer as well.
    """

    def __init__(self) -> None:
        """Begin without an answer."""
        self._counts: dict[TokenIds, dict[int, int]] = {}

    def draft(self, generated: Sequence[int]) -> Draft | None:
        """Draft what followed the longest suffix most often, if it occurred at least twice.

        The basis has the suffix's length, and the share of that token among those that followed.
        """
        for suffix in _suffixes(generated):
            counts = self._counts.get(suffix)
            total = sum(counts.values()) if counts else 0
            if counts and total > 1:
                token = max(counts, key=counts.__getitem__)
                certainty = int(_CERTAINTIES * (counts[token] + 0.5) / (total + 1))
                return Draft(token, len(suffix) * _CERTAINTIES + certainty)
        return None

    def observe(self, generated: Sequence[int], token: int) -> None:
        """Count the token that followed some tokens."""
        for suffix in _suffixes(generated):
            counts = self._counts.get(suffix)
            if counts is None:
                if len(self._counts) == _MOST_NGRAMS:
                    continue
                counts = self._counts[suffix] = {}
            counts[token] = counts.get(token, 0) + 1
