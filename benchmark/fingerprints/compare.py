"""Two records held against each other: what moved, where it began, how much, and by whom."""

from collections.abc import Mapping, Sequence
from itertools import islice

from benchmark.fingerprints.alignment import Alignment, align
from benchmark.fingerprints.attribution import suspects
from benchmark.fingerprints.comparison import EXIT_STATUSES, FingerprintDiff, Severity
from benchmark.fingerprints.examples import Example
from benchmark.fingerprints.flips import NEAR, Change, changes, flips, paired
from benchmark.fingerprints.logits import Shift, shift
from benchmark.fingerprints.noise import Floor, floor
from benchmark.fingerprints.record import Fingerprint
from benchmark.fingerprints.scores import common_scores
from benchmark.fingerprints.stage_diffs import FingerprintPair, StageDiff
from benchmark.fingerprints.stages import STAGES
from benchmark.records import Outcome
from benchmark.stats.constants import fresh_rng
from benchmark.stats.paired import PairedTest, paired_test

__all__ = ["EXIT_STATUSES", "FingerprintDiff", "Severity", "compare"]

_EXAMPLES = 3


def compare(old: Fingerprint, new: Fingerprint) -> FingerprintDiff:
    """Hold a new record against an old one, relative to the old one's noise floor."""
    alignment, limit = align(old, new), floor(old.repeats)
    shifts = _shifts(old, new, alignment)
    changed = changes(old, new, alignment)
    excused = _excused(changed, shifts, limit)
    compared = FingerprintPair(old, new, alignment, shifts, limit.largest, excused)
    moved = _movements(compared)
    first = next((each for each in moved if not each.within), None)
    return FingerprintDiff(
        old=old,
        new=new,
        alignment=alignment,
        floor=limit,
        stage_diffs=moved,
        shifts=shifts,
        changes=changed,
        excused=excused,
        all_flips={by: flips(old, new, alignment, by) for by in common_scores(old, new)},
        tests=_tests(old, new, alignment),
        suspects=suspects(old, new, first.stage if first else None),
        examples=_examples(compared, first) if first else (),
    )


def _movements(compared: FingerprintPair) -> tuple[StageDiff, ...]:
    """Return how the stages that both records have differ, in the order of the pipeline."""
    both = compared.old.stages.keys() & compared.new.stages.keys()
    moved = (row.moved(compared) for name, row in STAGES.items() if name in both)
    return tuple(stage_diff for stage_diff in moved if stage_diff)


def _examples(compared: FingerprintPair, stage_diff: StageDiff) -> tuple[Example, ...]:
    """Return the first states in which the stage moved, as far as the records keep what moved."""
    old, new, pair = compared.old, compared.new, dict(compared.pairs)
    if stage_diff.failed or old.stages[stage_diff.stage].failed:  # only one of them has anything
        return ()
    row = STAGES[stage_diff.stage]
    shown = (row.shown(old, new, one, pair[one]) for one in stage_diff.states if one in pair)
    return tuple(islice(filter(None, shown), _EXAMPLES))


def _shifts(old: Fingerprint, new: Fingerprint, alignment: Alignment) -> dict[int, Shift]:
    if old.logits is None or new.logits is None:
        return {}
    return {a: shift(old.logits.state(a), new.logits.state(b)) for a, b in alignment.pairs}


def _excused(
    changed: tuple[Change, ...], shifts: Mapping[int, Shift], limit: Floor
) -> frozenset[int]:
    """The states whose answer turned at a near tie, while nothing moved beyond the floor."""
    if any(each.largest > limit.largest for each in shifts.values()):
        return frozenset()
    near = NEAR * limit.largest
    return frozenset(
        each.old for each in changed if each.margin is not None and abs(each.margin) <= near
    )


def _tests(old: Fingerprint, new: Fingerprint, alignment: Alignment) -> dict[str, PairedTest]:
    pairs = {by: paired(old, new, alignment, by) for by in common_scores(old, new)}
    return {by: _test(*pair) for by, pair in pairs.items() if pair[0]}


def _test(before: Sequence[Outcome], after: Sequence[Outcome]) -> PairedTest:
    return paired_test(before, after, fresh_rng(), lambda _: True)
