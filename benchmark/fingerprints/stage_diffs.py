"""A stage that differs between two records, and how the stages' differences are found."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmark.fingerprints.alignment import Alignment
from benchmark.fingerprints.logits import Shift
from benchmark.fingerprints.record import Fingerprint
from benchmark.fingerprints.scores import (
    common_scores,
    outcome_digests,
    outcomes_differ,
    uncompared_scores,
)
from benchmark.scoring.outcomes import MAIN, SCORES


@dataclass(frozen=True, slots=True)
class StageDiff:
    """A stage that differs, beyond the noise floor or ``within`` it.

    ``states`` are the old record's numbers of those that differ, of ``of``; a stage with one
    digest for all counts as one. ``failed`` is the error that ended it in the new record.
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


@dataclass(frozen=True, slots=True)
class FingerprintPair:
    """Two records, and what is known before their stages are compared.

    ``shifts`` are those of the log-probabilities, by the old state's number; ``floor`` is the noise
    floor in nats; ``excused`` are the states whose answers changed by noise only.
    """

    old: Fingerprint
    new: Fingerprint
    alignment: Alignment
    shifts: Mapping[int, Shift]
    floor: float
    excused: frozenset[int]

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """The numbers of the states that are compared: old, new."""
        return self.alignment.pairs

    def digests(self, stage: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the digests of a stage: old, new."""
        return self.old.stages[stage].digests, self.new.stages[stage].digests

    @property
    def differ_by_noise_alone(self) -> bool:
        """Whether some answers changed by noise, and no outcome of any other state differs."""
        return bool(self.excused) and all(
            one in self.excused or not outcomes_differ(self.old, self.new, one, other)
            for one, other in self.pairs
        )


FindDiff = Callable[[str, FingerprintPair], StageDiff | None]
"""Returns how the stage of that name differs; None if it does not."""


def states_diff(stage: str, compared: FingerprintPair) -> StageDiff | None:
    """Return the states whose digests differ."""
    before, after = compared.digests(stage)
    differ = tuple(one for one, other in compared.pairs if before[one] != after[other])
    return StageDiff(stage, differ, len(compared.pairs)) if differ else None


def whole_diff(stage: str, compared: FingerprintPair) -> StageDiff | None:
    """Return the stage_diff of a stage with one digest for all states."""
    before, after = compared.digests(stage)
    return StageDiff(stage, (0,), 1) if before != after else None


def dataset_diff(stage: str, compared: FingerprintPair) -> StageDiff | None:
    """Return the states that differ or changed places, and say how many came or went."""
    alignment = compared.alignment
    differ = states_diff(stage, compared)
    moved = tuple(one for one, other in compared.pairs if one != other)
    notes = {
        "in another order": alignment.shuffled,
        f"{alignment.lost} states are not there any more": alignment.lost,
        f"{alignment.added} states are new": alignment.added,
    }
    words = "; ".join(note for note, holds in notes.items() if holds)
    if not differ and not words:
        return None
    states = differ.states if differ else moved if alignment.shuffled else ()
    return StageDiff(stage, states, len(compared.pairs), note=words or None)


def logits_diff(stage: str, compared: FingerprintPair) -> StageDiff | None:
    """Return the states whose log-probabilities moved beyond the floor; if none, those below."""
    shifts = compared.shifts.items()
    beyond = tuple(state for state, shift in shifts if shift.largest > compared.floor)
    below = tuple(state for state, shift in shifts if shift.largest)
    if not below:
        return None
    return StageDiff(stage, beyond or below, len(compared.pairs), within=not beyond)


def outcomes_diff(stage: str, compared: FingerprintPair) -> StageDiff | None:
    """Return the states whose outcomes differ, by the scores that both records have."""
    old, new, pairs = compared.old, compared.new, compared.pairs
    before, after = (_outcome_digests(stage, *both) for both in ((old, new), (new, old)))
    differ = tuple(one for one, other in pairs if before[one] != after[other])
    apart = {by for one, other in pairs for by in outcomes_differ(old, new, one, other)}
    scores = tuple(by for by in SCORES if by in apart)
    stage_diff = StageDiff(stage, differ, len(pairs), note=_note(scores), scores=scores)
    return stage_diff if differ else None


def counts_diff(stage: str, compared: FingerprintPair) -> StageDiff | None:
    """Return the scores whose counts differ, of those that both records have."""
    columns = zip(SCORES, *compared.digests(stage), strict=False)
    scores = tuple(by for by, before, after in columns if before != after)
    return StageDiff(stage, (0,), 1, note=_note(scores), scores=scores) if scores else None


def _outcome_digests(stage: str, record: Fingerprint, other: Fingerprint) -> Sequence[str]:
    """Return the digests as recorded; if the other has fewer scores, of those that both have."""
    if not uncompared_scores(record, other):
        return record.stages[stage].digests
    common = common_scores(record, other)
    return list(outcome_digests({by: record.scores[by] for by in common}))


def _note(scores: Sequence[str]) -> str | None:
    return f"by {', '.join(scores)} alone" if scores and MAIN not in scores else None
