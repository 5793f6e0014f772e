"""Answers and outcomes that changed between two records."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.decoding.common_prefix import common_prefix_length
from benchmark.fingerprints.alignment import StateAlignment
from benchmark.fingerprints.logits import log_probability
from benchmark.fingerprints.record import Fingerprint
from benchmark.records import Outcome, TokenIds

NEAR = 2.0
"""Noise can close a gap of twice the floor, since each of two tokens may change by the floor."""


@dataclass(frozen=True, slots=True)
class AnswerChange:
    """The first token in which an answer differs; a token is None if that answer has ended.

    ``margin`` is by how many nats the old record prefers its own token to the new one; None if the
    new token is not among the recorded, likelier ones. ``margin_new`` is the same difference in the
    new record, negative if that record agrees with its own choice.
    """

    old: int
    new: int
    position: int
    old_token: int | None
    new_token: int | None
    margin: float | None
    margin_new: float | None


@dataclass(frozen=True, slots=True)
class Flip:
    """A query whose outcome flipped; ``gained`` is whether it is right now."""

    state: int
    query: int
    numops: int
    gained: bool


def answer_changes(
    old: Fingerprint, new: Fingerprint, alignment: StateAlignment
) -> tuple[AnswerChange, ...]:
    """Return the answers whose generated tokens differ."""
    if not old.output or not new.output:
        return ()
    return tuple(
        _answer_change(old, new, pair)
        for pair in alignment.pairs
        if old.output[pair[0]] != new.output[pair[1]]
    )


def flips(
    old: Fingerprint, new: Fingerprint, alignment: StateAlignment, by: str
) -> tuple[Flip, ...]:
    """Return the queries whose outcome by one score flipped, of the states that both have."""
    flipped = []
    for one, other in alignment.pairs:
        before, after = old.scores[by][one], new.scores[by][other]
        columns = zip(before.numops, before.correct, after.correct, strict=False)
        for query, (numops, was, is_) in enumerate(columns):
            if was != is_:
                flipped.append(Flip(one, query, numops, is_))
    return tuple(flipped)


def paired(
    old: Fingerprint, new: Fingerprint, alignment: StateAlignment, by: str
) -> tuple[Sequence[Outcome], Sequence[Outcome]]:
    """Return the outcomes of the states that have the same sequence and numops in both records."""
    before, after = old.scores[by], new.scores[by]
    pairs = [(before[one], after[other]) for one, other in alignment.pairs]
    same = [p for p in pairs if (p[0].sample_id, p[0].numops) == (p[1].sample_id, p[1].numops)]
    return [one for one, _ in same], [other for _, other in same]


def _answer_change(old: Fingerprint, new: Fingerprint, pair: tuple[int, int]) -> AnswerChange:
    one, other = pair
    before, after = old.output[one], new.output[other]
    position = common_prefix_length(before, after)
    tokens = (_at(before, position), _at(after, position))
    return AnswerChange(
        *pair,
        position,
        *tokens,
        _margin(old, one, before[:position], tokens),
        _margin(new, other, after[:position], tokens),
    )


def _at(ids: TokenIds, position: int) -> int | None:
    return ids[position] if position < len(ids) else None


def _margin(
    record: Fingerprint, state: int, before: TokenIds, tokens: tuple[int | None, int | None]
) -> float | None:
    """Return by how many nats the old token is likelier than the new one after the same text."""
    first, second = tokens
    position = len(before)
    if record.logits is None or first is None or second is None:
        return None
    if record.path[state][:position] != before:
        return None
    values = [log_probability(record.logits, state, position, token) for token in (first, second)]
    if values[0] is None or values[1] is None:
        return None
    return values[0] - values[1]
