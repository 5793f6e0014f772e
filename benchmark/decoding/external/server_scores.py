"""Log-probabilities from servers: how each kind is asked for them, and how replies are read.

All are of the model before the constraint: vLLM's ``raw_logprobs``, which is its default, and what
SGLang and llama.cpp return without further fields.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

from benchmark.decoding.external.completions import FaultyReplyError
from benchmark.decoding.external.server_kinds import Document, ServerFacts
from benchmark.decoding.log_probs import (
    ForcedSequence,
    OtherIdsError,
    TokenLogProbs,
    token_log_probs,
)


class AnswerScores(Protocol):
    """The log-probabilities that one kind of server tells of a completion's tokens."""

    @property
    def fields(self) -> Document:
        """What the request for a completion gets in addition."""

    def values(self, document: Document) -> list[float] | None:
        """Return the log-probability of each token of a completion.

        Returns:
            NaN for a token without one; None if the reply has none.

        Raises:
            FaultyReplyError: if they are no numbers.
        """


class PromptScores(Protocol):
    """The log-probabilities that one kind of server tells of a prompt's tokens."""

    def body(self, row: ForcedSequence, others: int, facts: ServerFacts, /) -> Document:
        """Return the request for the log-probabilities along an answer."""

    def read(self, document: Document, row: ForcedSequence, others: int) -> TokenLogProbs:
        """Return the log-probabilities along an answer; NaN for those that the reply lacks.

        Raises:
            FaultyReplyError: if they are no numbers.
            OtherIdsError: if they are of other ids than those that were sent.
        """


class VllmScores:
    """vLLM's ``logprobs`` and ``prompt_logprobs``."""

    @property
    def fields(self) -> Document:
        """What the request for a completion gets in addition."""
        return {"logprobs": 1}

    def values(self, document: Document) -> list[float] | None:
        """Return those of the only choice."""
        about = _choice(document).get("logprobs")
        return _numbers(about.get("token_logprobs") if isinstance(about, dict) else None)

    def body(self, row: ForcedSequence, others: int, facts: ServerFacts, /) -> Document:
        """Return a request for one free token after prompt and answer."""
        return {
            "model": facts.model,
            "prompt": [*row.prompt, *row.answer],
            "max_tokens": 1,
            "temperature": 0.0,
            "add_special_tokens": False,
            "return_token_ids": True,
            "prompt_logprobs": others + 1,
            "stream": False,
        }

    def read(self, document: Document, row: ForcedSequence, others: int) -> TokenLogProbs:
        """Return those of the answer's tokens, each among the likeliest at its place."""
        choice = _choice(document)
        _check_ids(choice.get("prompt_token_ids"), row)
        places = choice.get("prompt_logprobs")
        if places is None:
            return _unknown(row)
        if not isinstance(places, list):
            raise FaultyReplyError("no log-probabilities of the prompt")
        if len(places) != len(row.prompt) + len(row.answer):
            raise OtherIdsError(min(len(places) - len(row.prompt), len(row.answer)))
        return token_log_probs(row.answer, map(_by_id, places[len(row.prompt) :]), others)


class SglangScores:
    """SGLang's ``input_token_logprobs``, written from its documentation."""

    @property
    def fields(self) -> Document:
        """Nothing: they come with every completion."""
        return {}

    def values(self, document: Document) -> list[float] | None:
        """Return those of the output."""
        rows = _about(document).get("output_token_logprobs")
        return _numbers(_column(rows, 0))

    def body(self, row: ForcedSequence, others: int, _: ServerFacts, /) -> Document:
        """Return a request for one free token after prompt and answer."""
        return {
            "input_ids": [*row.prompt, *row.answer],
            "sampling_params": {"max_new_tokens": 1, "temperature": 0.0},
            "return_logprob": True,
            # The first token from here on has none, as nothing was computed before it.
            "logprob_start_len": len(row.prompt) - 1,
            "top_logprobs_num": others + 1,
            "stream": False,
        }

    def read(self, document: Document, row: ForcedSequence, others: int) -> TokenLogProbs:
        """Return those of the last tokens of the input, which are the answer's."""
        about = _about(document)
        own, top = (about.get(f"input_{name}_logprobs") for name in ("token", "top"))
        if own is None:
            return _unknown(row)
        if top is None and isinstance(own, list):
            top = [None] * len(own)
        if not isinstance(own, list) or not isinstance(top, list) or len(own) != len(top):
            raise FaultyReplyError("no log-probabilities of the input")
        count = len(row.answer)
        if not all(isinstance(entry, list) and len(entry) > 1 for entry in own):
            raise FaultyReplyError("log-probabilities of the input without token ids")
        scored = [entry[1] for entry in own[-count:]]
        if len(own) < count or scored != list(row.answer):
            raise OtherIdsError(_first_difference(scored, row.answer))
        return token_log_probs(row.answer, _merged(own[-count:], top[-count:]), others)


class LlamaCppScores:
    """llama.cpp's ``n_probs``; it has none of a prompt."""

    @property
    def fields(self) -> Document:
        """What the request for a completion gets in addition."""
        return {"n_probs": 1}

    def values(self, document: Document) -> list[float] | None:
        """Return those of the output."""
        rows = document.get("completion_probabilities")
        return _numbers(_column(rows, "logprob"))


ANSWER_SCORES: Mapping[str, AnswerScores] = {
    "vllm": VllmScores(),
    "sglang": SglangScores(),
    "llama.cpp": LlamaCppScores(),
}
"""What each kind of server tells of its completions, by its name."""

PROMPT_SCORES: Mapping[str, PromptScores] = {"vllm": VllmScores(), "sglang": SglangScores()}
"""What kinds of servers tell of prompts, by their names; llama.cpp tells nothing."""


def _choice(document: Document) -> Document:
    choices = document.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        raise FaultyReplyError("not one choice")
    return dict(choices[0])


def _about(document: Document) -> Document:
    about = document.get("meta_info")
    if not isinstance(about, dict):
        raise FaultyReplyError("no meta_info")
    return about


def _column(rows: object, name: int | str) -> object:
    """Return one field of each row; None for rows without it, and if there are no rows."""
    if not isinstance(rows, list):
        return rows
    return [_item(row, name) for row in rows]


def _item(row: object, name: int | str) -> object:
    if isinstance(row, list) and isinstance(name, int):
        return row[name] if name < len(row) else None
    if isinstance(row, dict):
        return row.get(name)
    return row


def _numbers(values: object) -> list[float] | None:
    """Return log-probabilities, NaN for null; None for null in their place."""
    if values is None:
        return None
    if not isinstance(values, list):
        raise FaultyReplyError("no log-probabilities of the answer")
    try:
        return [_number(value) for value in values]
    except (TypeError, ValueError) as error:
        raise FaultyReplyError("log-probabilities of the answer that are no numbers") from error


def _number(value: object) -> float:
    """Return a log-probability, NaN for null.

    Raises:
        TypeError: for what is no number.
        ValueError: for an integer that is larger than any of the numbers used here.
    """
    if value is None:
        return math.nan
    if not isinstance(value, int | float):
        raise TypeError(f"not a number: {value!r}")
    try:
        return float(value)
    except OverflowError as error:
        raise ValueError("a number without bounds") from error


def _unknown(row: ForcedSequence) -> TokenLogProbs:
    """Return the answer's tokens with unknown log-probabilities."""
    shape = (len(row.answer), 1)
    return TokenLogProbs(
        np.array(row.answer, dtype=np.int32).reshape(shape), np.full(shape, np.nan)
    )


def _by_id(place: object) -> dict[int, float]:
    """Return the log-probabilities at a place, which vLLM writes by the ids as text."""
    if not isinstance(place, dict):
        raise FaultyReplyError("no log-probabilities at a place of the answer")
    try:
        return {int(token): _number(entry["logprob"]) for token, entry in place.items()}
    except (KeyError, TypeError, ValueError) as error:
        raise FaultyReplyError("not log-probabilities by token id") from error


def _merged(own: Sequence[object], top: Sequence[object]) -> Iterator[dict[int, float]]:
    """Yield the log-probabilities at each place: the own token's and the likeliest."""
    for entry, others in zip(own, top, strict=True):
        rows = [entry, *(others if isinstance(others, list) else [])]
        try:
            yield {int(token): _number(value) for value, token, *_ in rows}
        except (TypeError, ValueError) as error:
            raise FaultyReplyError("not log-probabilities by token id") from error


def _check_ids(ids: object, row: ForcedSequence) -> None:
    """Check that the ids that a server scored, if it tells them, are those that were sent.

    Raises:
        OtherIdsError: if they are not.
    """
    sent = (*row.prompt, *row.answer)
    if isinstance(ids, list) and tuple(ids) != sent:
        raise OtherIdsError(_first_difference(ids, sent) - len(row.prompt))


def _first_difference(one: Sequence[object], other: Sequence[object]) -> int:
    both = zip(one, other, strict=False)
    shorter = min(len(one), len(other))
    return next((place for place, (a, b) in enumerate(both) if a != b), shorter)
