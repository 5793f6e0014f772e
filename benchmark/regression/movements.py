"""Which stages moved between two records, and in how many states."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmark.regression.alignment import Alignment
from benchmark.regression.logits import Shift
from benchmark.regression.record import Allowed, Record
from benchmark.regression.scores import (
    common_scores,
    outcome_digests,
    outcomes_differ,
    uncompared_scores,
)
from benchmark.regression.stages import STAGES, Stage
from benchmark.scoring.outcomes import MAIN, SCORES

WHOLE = frozenset({"weights", "verdict"})
"""Stages with one fingerprint for all states."""


@dataclass(frozen=True, slots=True)
class Movement:
    """A stage that differs, beyond the noise floor or ``within`` it.

    ``states`` are the old record's numbers of those that differ, of ``of``; a stage with one
    fingerprint for all counts as one. ``failed`` is the error that ended it in the new record.
    ``scores`` are those by which outcomes or counts differ, where it is known.
    """

    stage: str
    states: tuple[int, ...]
    of: int
    failed: str | None = None
    note: str | None = None
    within: bool = False
    scores: tuple[str, ...] = ()

    @property
    def spares_the_main_score(self) -> bool:
        """Whether outcomes or counts differ by other scores than the main one alone."""
        return bool(self.scores) and MAIN not in self.scores

    def as_json(self) -> dict[str, object]:
        """How many states, of how many, and what is said about them."""
        return {
            "states": len(self.states),
            "of": self.of,
            "within_noise": self.within,
            "failed": self.failed,
            "note": self.note,
        }


def movements(
    old: Record,
    new: Record,
    alignment: Alignment,
    shifts: Mapping[int, Shift],
    largest: float,
    excused: frozenset[int],
) -> tuple[Movement, ...]:
    """The stages that differ, in the order of the pipeline.

    Args:
        old: the record held against.
        new: the record of now.
        alignment: which states are the same.
        shifts: of the log-probabilities, by the old state's number.
        largest: the floor in nats.
        excused: the states whose answers changed by noise only.
    """
    found = [
        _ended(name, old.stages[name], new.stages[name], len(alignment.pairs))
        or _moved(name, old, new, alignment, shifts, largest, excused)
        for name in STAGES
        if name in old.stages and name in new.stages
    ]
    return tuple(each for each in found if each)


def uncompared(old: Record, new: Record) -> dict[str, str]:
    """The stages that only one of the records has, in their order, and which: old or new."""
    return {
        name: "old" if name in old.stages else "new"
        for name in STAGES
        if (name in old.stages) != (name in new.stages)
    }


def _ended(name: str, old: Stage, new: Stage, count: int) -> Movement | None:
    """A stage that fails in one of the records."""
    if not (old.failed or new.failed):
        return None
    if old.failed and new.failed:
        # Broken before as now: nothing moved, but the words are kept where they changed.
        return None if old.failed == new.failed else Movement(name, (), count, new.failed)
    note = None if new.failed else f"works again; it failed: {old.failed}"
    return Movement(name, tuple(range(count)), count, new.failed, note)


def _moved(
    name: str,
    old: Record,
    new: Record,
    alignment: Alignment,
    shifts: Mapping[int, Shift],
    largest: float,
    excused: frozenset[int],
) -> Movement | None:
    pairs = alignment.pairs
    before, after = old.stages[name].digests, new.stages[name].digests
    if old.stages[name].failed and not (before and after):
        return None  # in both, in the same words, and nothing is there to compare
    if name in {"outcome", "verdict"}:
        return (_outcome if name == "outcome" else _verdict)(old, new, pairs, excused)
    if name == "logits":
        return _logits(shifts, largest, len(pairs))
    if name == "dataset":
        return _dataset(old, new, alignment)
    if name == "constraint" and (note := _constrained_once(old, new)):
        return Movement(name, tuple(a for a, _ in pairs), len(pairs), note=note)
    if name == "constraint":
        differ = [a for a, b in pairs if _sets_differ(old, new, a, b)]
    elif name in WHOLE:
        differ = [0] if before != after else []
    else:
        differ = [a for a, b in pairs if before[a] != after[b]]
    within = name in {"output", "answer"} and set(differ) <= excused
    of = 1 if name in WHOLE else len(pairs)
    return Movement(name, tuple(differ), of, within=within) if differ else None


def _outcome(
    old: Record, new: Record, pairs: Sequence[tuple[int, int]], excused: frozenset[int]
) -> Movement | None:
    """Outcomes that differ, by the scores that both have."""
    before, after = (_outcome_digests(*both) for both in ((old, new), (new, old)))
    differ = tuple(a for a, b in pairs if before[a] != after[b])
    apart = {by for a, b in pairs for by in outcomes_differ(old, new, a, b)}
    scores = tuple(by for by in SCORES if by in apart)
    within = set(differ) <= excused
    movement = Movement("outcome", differ, len(pairs), None, _note(scores), within, scores)
    return movement if differ else None


def _outcome_digests(record: Record, other: Record) -> Sequence[str]:
    """The digests as recorded; where the other has fewer scores, of those that both have."""
    if not uncompared_scores(record, other):
        return record.stages["outcome"].digests
    common = common_scores(record, other)
    return list(outcome_digests({by: record.scores[by] for by in common}))


def _verdict(
    old: Record, new: Record, pairs: Sequence[tuple[int, int]], excused: frozenset[int]
) -> Movement | None:
    """Counts that differ, by the scores that both have."""
    columns = zip(SCORES, *(each.stages["verdict"].digests for each in (old, new)), strict=False)
    scores = tuple(by for by, before, after in columns if before != after)
    if not scores:
        return None
    within = bool(excused) and _only(old, new, pairs, excused)
    return Movement("verdict", (0,), 1, None, _note(scores), within, scores)


def _note(scores: Sequence[str]) -> str | None:
    return f"by {', '.join(scores)} alone" if scores and MAIN not in scores else None


def _only(
    old: Record, new: Record, pairs: Sequence[tuple[int, int]], excused: frozenset[int]
) -> bool:
    """Whether only excused states have another outcome."""
    return all(a in excused or not outcomes_differ(old, new, a, b) for a, b in pairs)


def _logits(shifts: Mapping[int, Shift], largest: float, count: int) -> Movement | None:
    beyond = tuple(state for state, shift in shifts.items() if shift.largest > largest)
    below = tuple(state for state, shift in shifts.items() if shift.largest)
    if not below:
        return None
    return Movement("logits", beyond or below, count, within=not beyond)


def _dataset(old: Record, new: Record, alignment: Alignment) -> Movement | None:
    before, after = (each.stages["dataset"].digests for each in (old, new))
    differ = tuple(a for a, b in alignment.pairs if before[a] != after[b])
    moved = tuple(a for a, b in alignment.pairs if a != b) if alignment.shuffled else ()
    notes = {
        "in another order": alignment.shuffled,
        f"{alignment.lost} states are not there any more": alignment.lost,
        f"{alignment.added} states are new": alignment.added,
    }
    words = "; ".join(note for note, holds in notes.items() if holds)
    if not differ and not words:
        return None
    return Movement("dataset", differ or moved, len(alignment.pairs), note=words or None)


def _constrained_once(old: Record, new: Record) -> str | None:
    """What to say where only one of the records is of constrained decoding, whatever its paths."""
    constrained = [bool(each.allowed and each.allowed.sets) for each in (old, new)]
    if constrained[0] == constrained[1] or old.allowed is None or new.allowed is None:
        return None
    return "the new record has no constraint" if constrained[0] else "the old record has none"


def _sets_differ(old: Record, new: Record, one: int, other: int) -> bool:
    return first_other_set(old, new, one, other) is not None


def first_other_set(old: Record, new: Record, one: int, other: int) -> int | None:
    """The first position, up to where the paths part, at which another set is allowed."""
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


def _digests(allowed: Allowed | None, state: int) -> list[str]:
    if allowed is None or state >= len(allowed.along):
        return []
    return [allowed.sets[n].digest if n >= 0 else "forbidden" for n in allowed.along[state]]
