"""The difference of one stage between two records, and the functions that find it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmark.fingerprints.alignment import StateAlignment
from benchmark.fingerprints.logits import LogitDiff
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
    """A stage that differs between two records.

    Attributes:
        states: the old record's numbers of the states that differ.
        of: the number of compared states; 1 for a stage with one digest for all.
        failed: the error that ended the stage in the new record.
        note: a remark for the reader.
        within: whether the difference is within the noise floor.
        scores: the scores by which outcomes or counts differ, if known.
    """

    stage: str
    states: tuple[int, ...]
    of: int
    failed: str | None = None
    note: str | None = None
    within: bool = False
    scores: tuple[str, ...] = ()

    @property
    def main_score_unchanged(self) -> bool:
        """Whether outcomes or counts differ only by scores other than the main one."""
        return bool(self.scores) and MAIN not in self.scores

    def as_json(self) -> dict[str, object]:
        """Return the number of states that differ, and the remarks."""
        return {
            "states": len(self.states),
            "of": self.of,
            "within_noise": self.within,
            "failed": self.failed,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class FingerprintPair:
    """Two records, with what all comparisons of their stages need.

    ``logit_diffs`` are the differences of log-probabilities by the old state's number; ``floor`` is
    the noise floor in nats; ``excused`` are the states whose answers changed by noise only.
    """

    old: Fingerprint
    new: Fingerprint
    alignment: StateAlignment
    logit_diffs: Mapping[int, LogitDiff]
    floor: float
    excused: frozenset[int]

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """The numbers of the compared states: old, new."""
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
    """Return the difference of a stage with one digest for all states."""
    before, after = compared.digests(stage)
    return StageDiff(stage, (0,), 1) if before != after else None


def dataset_diff(stage: str, compared: FingerprintPair) -> StageDiff | None:
    """Return the states that differ or were reordered, and the numbers lost and added."""
    alignment = compared.alignment
    differ = states_diff(stage, compared)
    renumbered = tuple(one for one, other in compared.pairs if one != other)
    notes = {
        "different order": alignment.reordered,
        f"{alignment.lost} states missing": alignment.lost,
        f"{alignment.added} states added": alignment.added,
    }
    note = "; ".join(note for note, holds in notes.items() if holds)
    if not differ and not note:
        return None
    states = differ.states if differ else renumbered if alignment.reordered else ()
    return StageDiff(stage, states, len(compared.pairs), note=note or None)


def logits_diff(stage: str, compared: FingerprintPair) -> StageDiff | None:
    """Return the states whose log-probabilities differ beyond the floor; if none, those within."""
    logit_diffs = compared.logit_diffs.items()
    beyond = tuple(state for state, diff in logit_diffs if diff.largest > compared.floor)
    below = tuple(state for state, diff in logit_diffs if diff.largest)
    if not below:
        return None
    return StageDiff(stage, beyond or below, len(compared.pairs), within=not beyond)


def outcomes_diff(stage: str, compared: FingerprintPair) -> StageDiff | None:
    """Return the states whose outcomes differ, by the scores that both records have."""
    old, new, pairs = compared.old, compared.new, compared.pairs
    before, after = (_outcome_digests(stage, *both) for both in ((old, new), (new, old)))
    differ = tuple(one for one, other in pairs if before[one] != after[other])
    differing = {by for one, other in pairs for by in outcomes_differ(old, new, one, other)}
    scores = tuple(by for by in SCORES if by in differing)
    stage_diff = StageDiff(stage, differ, len(pairs), note=_note(scores), scores=scores)
    return stage_diff if differ else None


def counts_diff(stage: str, compared: FingerprintPair) -> StageDiff | None:
    """Return the scores whose counts differ, of those that both records have."""
    columns = zip(SCORES, *compared.digests(stage), strict=False)
    scores = tuple(by for by, before, after in columns if before != after)
    return StageDiff(stage, (0,), 1, note=_note(scores), scores=scores) if scores else None


def _outcome_digests(stage: str, record: Fingerprint, other: Fingerprint) -> Sequence[str]:
    """Return the recorded digests, or those of the scores that both records have."""
    if not uncompared_scores(record, other):
        return record.stages[stage].digests
    common = common_scores(record, other)
    return list(outcome_digests({by: record.scores[by] for by in common}))


def _note(scores: Sequence[str]) -> str | None:
    return f"by {', '.join(scores)} only" if scores and MAIN not in scores else None
