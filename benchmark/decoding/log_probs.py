"""Log-probabilities along given token ids, and the engines elsewhere that tell them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmark.records import TokenIds


class TokenLogProbs(NamedTuple):
    """Tokens and log-probabilities along one answer, shape (answer tokens, 1 + others) each.

    In each row the answer's own token is first, then the likeliest others, likeliest first.
    """

    ids: NDArray[np.int32]
    values: NDArray[np.float64]


class ForcedSequence(NamedTuple):
    """A prompt and the answer that follows it."""

    prompt: TokenIds
    answer: TokenIds


class OtherIdsError(Exception):
    """An engine scored other ids than it was sent, from this place of the answer on.

    A ``place`` below 0 is in the prompt.
    """

    def __init__(self, place: int) -> None:
        """Take the first place with another id."""
        super().__init__(f"other ids were scored than were sent, from place {place} of the answer")
        self.place = place


@dataclass(frozen=True, slots=True)
class DecodedAnswer:
    """An answer, and the log-probability of its tokens as the engine had them while it decoded.

    ``token_ids`` include the end if the model ended the answer. ``values`` has one number per
    token, before the constraint; NaN for a token that the engine chose without computing it. It is
    None if the engine does not tell them.
    """

    token_ids: TokenIds
    finished: bool
    values: NDArray[np.float64] | None


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Which prompts are computed together, and in which order.

    Attributes:
        name: what is varied, in words.
        order: the indices of the prompts.
        together: how many are computed together, or are open requests at a time.
    """

    name: str
    order: tuple[int, ...]
    together: int


class ScoringEngine(Protocol):
    """An engine that decodes and scores the same prompts in any arrangement."""

    @property
    def scores(self) -> bool:
        """Whether the engine tells the log-probabilities of given ids."""

    def decoded(
        self, prompts: Sequence[TokenIds], arrangement: Arrangement
    ) -> Sequence[DecodedAnswer]:
        """Return the answer to each prompt, in the order of the prompts."""

    def scored(
        self, rows: Sequence[ForcedSequence], arrangement: Arrangement, others: int
    ) -> Sequence["TokenLogProbs | OtherIdsError"]:
        """Return the log-probabilities along each answer in one pass over prompt and answer.

        :class:`OtherIdsError` is in place of a row of which the engine scored other ids.
        """


def ranked(own: int, values: Mapping[int, float], others: int) -> tuple[list[int], list[float]]:
    """Return a token and the likeliest others, with their log-probabilities.

    Args:
        own: the answer's token, one of ``values``.
        values: log-probabilities by token id; NaN is unknown, and no other has it.
        others: how many others to return; there may be fewer.
    """
    told = ((-value, token) for token, value in values.items() if not isnan(value))
    rest = sorted((value, token) for value, token in told if token != own)[:others]
    return [own, *(token for _, token in rest)], [values[own], *(-value for value, _ in rest)]


def token_log_probs(
    answer: TokenIds, places: Iterator[Mapping[int, float]], others: int
) -> TokenLogProbs:
    """Return the log-probabilities along an answer, of one mapping from id to value per place.

    Raises:
        OtherIdsError: at the first place without the answer's token.
    """
    rows = []
    for place, (own, values) in enumerate(zip(answer, places, strict=True)):
        if own not in values:
            raise OtherIdsError(place)
        rows.append(ranked(own, values, others))
    width = min(len(ids) for ids, _ in rows)
    return TokenLogProbs(
        np.array([ids[:width] for ids, _ in rows], dtype=np.int32),
        np.array([values[:width] for _, values in rows], dtype=np.float64),
    )
