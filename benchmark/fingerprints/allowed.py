"""Compare two constraints along the same answers."""

from collections.abc import Sequence
from itertools import takewhile, zip_longest

from benchmark.fingerprints.examples import Example
from benchmark.fingerprints.record import Allowed, AllowedSet, Fingerprint
from benchmark.fingerprints.stage_diffs import FingerprintPair, StageDiff


def constraint_diff(stage: str, compared: FingerprintPair) -> StageDiff | None:
    """Return the states in which different tokens are allowed."""
    old, new, pairs = compared.old, compared.new, compared.pairs
    if note := _constrained_once(old, new):
        return StageDiff(stage, tuple(one for one, _ in pairs), len(pairs), note=note)
    differ = tuple(p[0] for p in pairs if first_other_set(old, new, *p) is not None)
    return StageDiff(stage, differ, len(pairs)) if differ else None


def first_other_set(old: Fingerprint, new: Fingerprint, one: int, other: int) -> int | None:
    """Return the first position with different sets, up to where the paths diverge."""
    if old.allowed is None or new.allowed is None:
        return None
    if _constrained_once(old, new):
        return 0
    before, after = (_digests(r.allowed, s) for r, s in ((old, one), (new, other)))
    position = -1
    for position, (mine, theirs) in enumerate(zip(before, after, strict=False)):
        if mine != theirs:
            return position
        if old.path[one][position] != new.path[other][position]:
            return None
    same_path = old.path[one : one + 1] == new.path[other : other + 1]
    return position + 1 if same_path and len(before) != len(after) else None


def constraint_example(
    _: str, old: Fingerprint, new: Fingerprint, one: int, other: int
) -> Example | None:
    """Return the numbers of allowed tokens at the first position that differs."""
    at = first_other_set(old, new, one, other)
    if at is None:
        return None
    before, after = _set(old, one, at), _set(new, other, at)
    token = _single_difference(before, after) if before and after else ""
    return Example(one, f"answer token {at}", _allows(old, before), _allows(new, after) + token)


def constraint_distance(old: Fingerprint, new: Fingerprint, one: int, other: int) -> float:
    """Return the mean distance of the sets, from 0 (equal) to 1.

    A position counts as 1 if the numbers of allowed tokens differ or only one record has it, and as
    0.5 if the numbers are equal but the tokens differ.
    """
    positions = _common_positions(old, new, one, other)
    sets = zip_longest(_sets(old, one)[:positions], _sets(new, other)[:positions])
    distances = [_set_distance(before, after) for before, after in sets]
    return sum(distances) / len(distances) if distances else 1.0


def _set_distance(one: AllowedSet | None, other: AllowedSet | None) -> float:
    if one is None or other is None or one.size != other.size:
        return 1.0
    return 0.5 * (one.digest != other.digest)


def _constrained_once(old: Fingerprint, new: Fingerprint) -> str | None:
    """Return a note if only one of the records is of constrained decoding."""
    constrained = [bool(record.allowed and record.allowed.sets) for record in (old, new)]
    if constrained[0] == constrained[1] or old.allowed is None or new.allowed is None:
        return None
    return f"the {'new' if constrained[0] else 'old'} record has no constraint"


def _digests(allowed: Allowed | None, state: int) -> list[str]:
    if allowed is None or state >= len(allowed.along):
        return []
    return [allowed.sets[n].digest if n >= 0 else "forbidden" for n in allowed.along[state]]


def _set(record: Fingerprint, state: int, position: int) -> AllowedSet | None:
    """Return the allowed set at a position; None without a constraint or on a forbidden path."""
    allowed = record.allowed
    numbers = allowed.along[state] if allowed else ()
    if allowed is None or position >= len(numbers) or numbers[position] < 0:
        return None
    return allowed.sets[numbers[position]]


def _allows(record: Fingerprint, allowed: AllowedSet | None) -> str:
    if allowed:
        return f"{allowed.size} tokens allowed"
    constrained = record.allowed is not None and record.allowed.sets
    return "the recorded answer is forbidden" if constrained else "no constraint"


def _single_difference(old: AllowedSet, new: AllowedSet) -> str:
    """Return the id of the added or missing token, if it is one; it is the difference of sums."""
    added, id_difference = new.size - old.size, new.total - old.total
    if abs(added) != 1:
        return ""
    return f" ({'added' if added > 0 else 'missing'} id {abs(id_difference)})"


def _sets(record: Fingerprint, state: int) -> Sequence[AllowedSet]:
    """Return the allowed sets up to the first token that is forbidden."""
    if record.allowed is None or not record.allowed.sets:
        return []
    numbers = record.allowed.along[state]
    return [record.allowed.sets[number] for number in numbers if number >= 0]


def _common_positions(old: Fingerprint, new: Fingerprint, one: int, other: int) -> int:
    """Return the number of sets that follow equal tokens in both paths."""
    before, after = old.path[one : one + 1], new.path[other : other + 1]
    tokens = zip(*before, *after, strict=False) if before and after else ()
    equal = takewhile(lambda pair: pair[0] == pair[1], tokens)
    return sum(1 for _ in equal) + 1
