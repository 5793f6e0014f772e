"""Which stages moved between two records, and in how many states."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmark.regression.alignment import Alignment
from benchmark.regression.logits import Shift
from benchmark.regression.record import Allowed, Record
from benchmark.regression.stages import STAGES, Stage

WHOLE = frozenset({"weights", "verdict"})
"""Stages with one fingerprint for all states."""


@dataclass(frozen=True, slots=True)
class Movement:
    """A stage that differs, beyond the noise floor or ``within`` it.

    ``states`` are the old record's numbers of those that differ, of ``of``; a stage with one
    fingerprint for all counts as one. ``failed`` is the error that ended it in the new record.
    """

    stage: str
    states: tuple[int, ...]
    of: int
    failed: str | None = None
    note: str | None = None
    within: bool = False

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
    if name in WHOLE:
        differ: Sequence[int] = [0] if before != after else []
        all_excused = name == "verdict" and bool(excused) and _only(old, new, pairs, excused)
        return Movement(name, tuple(differ), 1, within=all_excused) if differ else None
    if name == "logits":
        return _logits(shifts, largest, len(pairs))
    if name == "dataset":
        return _dataset(old, new, alignment)
    if name == "constraint" and (note := _constrained_once(old, new)):
        return Movement(name, tuple(a for a, _ in pairs), len(pairs), note=note)
    if name == "constraint":
        differ = [a for a, b in pairs if _sets_differ(old, new, a, b)]
    else:
        differ = [a for a, b in pairs if before[a] != after[b]]
    within = name in {"output", "answer", "outcome"} and set(differ) <= excused
    return Movement(name, tuple(differ), len(pairs), within=within) if differ else None


def _only(
    old: Record, new: Record, pairs: Sequence[tuple[int, int]], excused: frozenset[int]
) -> bool:
    """Whether only excused states have another outcome."""
    return all(old.outcomes[a] == new.outcomes[b] or a in excused for a, b in pairs)


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
