"""Compare two records: which stages changed, by how much, and the likely causes."""

from collections.abc import Mapping
from itertools import islice

from benchmark.fingerprints.alignment import StateAlignment, align
from benchmark.fingerprints.attribution import suspects
from benchmark.fingerprints.comparison import EXIT_STATUSES, FingerprintDiff, Severity
from benchmark.fingerprints.error_changes import error_changes
from benchmark.fingerprints.examples import Example
from benchmark.fingerprints.flips import NEAR, AnswerChange, answer_changes, flips, paired
from benchmark.fingerprints.logits import LogitDiff, logit_diff
from benchmark.fingerprints.noise import NoiseFloor, noise_floor
from benchmark.fingerprints.record import Fingerprint
from benchmark.fingerprints.scores import common_scores
from benchmark.fingerprints.stage_diffs import FingerprintPair, StageDiff
from benchmark.fingerprints.stages import STAGES
from benchmark.stats.constants import SAME_MARGIN, fresh_rng
from benchmark.stats.paired import paired_test

__all__ = ["EXIT_STATUSES", "FingerprintDiff", "Severity", "compare"]

_EXAMPLES = 3


def compare(old: Fingerprint, new: Fingerprint, margin: float = SAME_MARGIN) -> FingerprintDiff:
    """Compare a new record with an old one, relative to the old one's noise floor.

    ``margin`` is the largest difference of accuracies (0..1) that counts as none.
    """
    alignment, limit = align(old, new), noise_floor(old.repeats)
    logit_diffs = _logit_diffs(old, new, alignment)
    changed = answer_changes(old, new, alignment)
    excused = _near_ties(changed, logit_diffs, limit)
    compared = FingerprintPair(old, new, alignment, logit_diffs, limit.largest, excused)
    stage_diffs = _stage_diffs(compared)
    first = next((diff for diff in stage_diffs if not diff.within), None)
    return FingerprintDiff(
        old=old,
        new=new,
        alignment=alignment,
        floor=limit,
        stage_diffs=stage_diffs,
        logit_diffs=logit_diffs,
        answer_changes=changed,
        excused=excused,
        all_flips={by: flips(old, new, alignment, by) for by in common_scores(old, new)},
        tests={
            by: paired_test(*pair, fresh_rng(), lambda _: True)
            for by in common_scores(old, new)
            if (pair := paired(old, new, alignment, by))[0]
        },
        errors=error_changes(old, new, alignment),
        suspects=suspects(old, new, first.stage if first else None),
        examples=_examples(compared, first) if first else (),
        margin=margin,
    )


def _stage_diffs(compared: FingerprintPair) -> tuple[StageDiff, ...]:
    """Return the differences of the stages that both records have, in pipeline order."""
    both = compared.old.stages.keys() & compared.new.stages.keys()
    diffs = (row.compare(compared) for name, row in STAGES.items() if name in both)
    return tuple(stage_diff for stage_diff in diffs if stage_diff)


def _examples(compared: FingerprintPair, stage_diff: StageDiff) -> tuple[Example, ...]:
    """Return examples of the first states that differ, as far as the records keep them."""
    old, new, pair = compared.old, compared.new, dict(compared.pairs)
    if stage_diff.failed or old.stages[stage_diff.stage].failed:  # one of them has nothing to show
        return ()
    row = STAGES[stage_diff.stage]
    examples = (row.show(old, new, one, pair[one]) for one in stage_diff.states if one in pair)
    return tuple(islice(filter(None, examples), _EXAMPLES))


def _logit_diffs(
    old: Fingerprint, new: Fingerprint, alignment: StateAlignment
) -> dict[int, LogitDiff]:
    if old.logits is None or new.logits is None:
        return {}
    return {a: logit_diff(old.logits.state(a), new.logits.state(b)) for a, b in alignment.pairs}


def _near_ties(
    changed: tuple[AnswerChange, ...], logit_diffs: Mapping[int, LogitDiff], limit: NoiseFloor
) -> frozenset[int]:
    """Return the states whose answer changed at a near tie; none if logits exceed the floor."""
    if any(diff.largest > limit.largest for diff in logit_diffs.values()):
        return frozenset()
    near = NEAR * limit.largest
    return frozenset(
        change.old for change in changed if change.margin is not None and abs(change.margin) <= near
    )
