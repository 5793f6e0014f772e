"""Answers that changed: at which token, by how much, and which outcomes with them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from benchmark.decoding.common_prefix import common_prefix_length
from benchmark.fingerprints.alignment import Alignment
from benchmark.fingerprints.logits import log_probability
from benchmark.fingerprints.record import Fingerprint
from benchmark.records import Outcome, TokenIds

NEAR = 2.0
"""Two tokens may each move by the floor, so a gap of twice the floor can close by noise."""


@dataclass(frozen=True, slots=True)
class Change:
    """The first token in which an answer differs; None where one of the answers has ended.

    ``margin`` is by how many nats the old record preferred its own token to the new one; None
    where it did not keep the new one, which then was less likely than those kept. ``margin_new``
    is the same in the new record, negative where it agrees with its own choice.
    """

    old: int
    new: int
    position: int
    old_token: int | None
    new_token: int | None
    margin: float | None
    margin_new: float | None

    def as_json(self) -> dict[str, object]:
        """By name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Flip:
    """A query whose outcome by a score turned round; ``gained`` where it is right now."""

    state: int
    query: int
    numops: int
    gained: bool


def changes(old: Fingerprint, new: Fingerprint, alignment: Alignment) -> tuple[Change, ...]:
    """The states whose generated tokens differ."""
    if not old.output or not new.output:
        return ()
    return tuple(
        _change(old, new, pair)
        for pair in alignment.pairs
        if old.output[pair[0]] != new.output[pair[1]]
    )


def flips(old: Fingerprint, new: Fingerprint, alignment: Alignment, by: str) -> tuple[Flip, ...]:
    """Return the queries that turned round by one score, of the states that both have."""
    found = []
    for one, other in alignment.pairs:
        before, after = old.scores[by][one], new.scores[by][other]
        columns = zip(before.numops, before.correct, after.correct, strict=False)
        for query, (numops, was, is_) in enumerate(columns):
            if was != is_:
                found.append(Flip(one, query, numops, is_))
    return tuple(found)


def paired(
    old: Fingerprint, new: Fingerprint, alignment: Alignment, by: str
) -> tuple[Sequence[Outcome], Sequence[Outcome]]:
    """The outcomes of the states that are the same in both: of one sequence, with one numops."""
    before, after = old.scores[by], new.scores[by]
    pairs = [(before[one], after[other]) for one, other in alignment.pairs]
    same = [p for p in pairs if (p[0].sample_id, p[0].numops) == (p[1].sample_id, p[1].numops)]
    return [one for one, _ in same], [other for _, other in same]


def _change(old: Fingerprint, new: Fingerprint, pair: tuple[int, int]) -> Change:
    one, other = pair
    before, after = old.output[one], new.output[other]
    position = common_prefix_length(before, after)
    tokens = (_at(before, position), _at(after, position))
    return Change(
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
    """How much likelier the record has the old token than the new, after the same text."""
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
