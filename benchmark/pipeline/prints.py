"""Fingerprints of what the stages give, whatever gave it: the benchmark's way or plain use."""

from collections.abc import Iterator, Sequence

from benchmark.pipeline.attempts import needed
from benchmark.records import Answer, Outcome, State, TokenIds
from benchmark.regression.record import Allowed, AllowedSet, Sample
from benchmark.regression.stages import digest
from benchmark.scoring.outcomes import score_all

_SAMPLES = 3
"""So many prompts are kept as they are, for a person to read."""


def samples(sent: Sequence[str] | None, prompts: Sequence[TokenIds] | None) -> tuple[Sample, ...]:
    """The first prompts as text and as tokens, where both stages gave some."""
    return tuple(map(Sample, (sent or ())[:_SAMPLES], (prompts or ())[:_SAMPLES]))


def allowed_set(tokens: TokenIds) -> AllowedSet:
    """A set of allowed tokens, in ascending order."""
    return AllowedSet(digest(tokens), len(tokens), sum(tokens))


def texts(given: Sequence[str]) -> Iterator[str]:
    """One of each text."""
    return (digest([text]) for text in given)


def allowed_sets(allowed: Allowed) -> Iterator[str]:
    """One of each state: the sets that its tokens were chosen from."""
    names = ("-", *(each.digest for each in allowed.sets))
    return (digest(names[number + 1] for number in numbers) for numbers in allowed.along)


def contents(answers: Sequence[Answer]) -> Iterator[str]:
    """One of each answer: what it has in each box."""
    return (
        digest(None if box is None else sorted(box) for box in answer.contents)
        for answer in answers
    )


def scored(
    answers: Sequence[Answer] | None, states: Sequence[State]
) -> dict[str, tuple[Outcome, ...]]:
    """Return the outcome of each state's answer, by every score.

    Raises:
        MissingStageError: when the stage before gave no answers.
    """
    return score_all(needed(answers, "answer"), states)
