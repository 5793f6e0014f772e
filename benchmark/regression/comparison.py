"""Two records held against each other: what moved, where it began, how much, and by whom."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from benchmark.regression.alignment import Alignment, align
from benchmark.regression.attribution import Suspect, suspects
from benchmark.regression.examples import Example, examples
from benchmark.regression.flips import NEAR, Change, Flip, changes, flips, paired
from benchmark.regression.logits import Shift, shift
from benchmark.regression.movements import Movement, movements
from benchmark.regression.noise import Floor, floor
from benchmark.regression.record import Record
from benchmark.stats.paired import PairedTest, paired_test

_SEED = 20240531


class Severity(StrEnum):
    """How bad a shift is, the worst last."""

    SAME = "same"
    NOISE = "noise"
    DRIFT = "drift"
    REGRESSION = "regression"


EXIT_STATUSES: Mapping[Severity, int] = {
    Severity.SAME: 0,
    Severity.NOISE: 0,
    Severity.DRIFT: 3,
    Severity.REGRESSION: 4,
}
"""1 and 2 are left to crashes and to misuse."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two records differ in.

    ``movements`` are the stages that differ, in order; ``shifts`` those of log-probabilities by
    state; ``changes`` the answers whose tokens differ, ``excused`` the states among them whose
    first changed token was a near tie; ``test`` the clustered test of outcomes, None where
    nothing can be paired.
    """

    old: Record
    new: Record
    alignment: Alignment
    floor: Floor
    movements: tuple[Movement, ...]
    shifts: Mapping[int, Shift]
    changes: tuple[Change, ...]
    excused: frozenset[int]
    flips: tuple[Flip, ...]
    test: PairedTest | None
    suspects: tuple[Suspect, ...] = ()
    examples: tuple[Example, ...] = field(default_factory=tuple)

    @property
    def moved(self) -> tuple[Movement, ...]:
        """The stages that moved beyond noise."""
        return tuple(each for each in self.movements if not each.within)

    @property
    def stage(self) -> str | None:
        """The earliest stage that moved beyond noise; None where none did."""
        return self.moved[0].stage if self.moved else None

    @property
    def severity(self) -> Severity:
        """``regression`` where a stage fails now or outcomes changed by more than noise.

        ``drift`` where any stage moved beyond noise otherwise, ``noise`` where only roundings
        differ, ``same`` where not even those do.
        """
        if (
            self.failed
            or self.alignment.lost
            or any(f.state not in self.excused for f in self.flips)
        ):
            return Severity.REGRESSION
        if self.moved:
            return Severity.DRIFT
        return Severity.NOISE if self.movements else Severity.SAME

    @property
    def exit_status(self) -> int:
        """The process's exit status, see :data:`EXIT_STATUSES`."""
        return EXIT_STATUSES[self.severity]

    @property
    def failed(self) -> dict[str, str]:
        """The stages that ended in an error now and did not in the old record."""
        found = ((each.stage, each.failed) for each in self.movements)
        return {name: line for name, line in found if line and not self.old.stages[name].failed}

    @property
    def largest(self) -> float:
        """The largest difference of a log-probability, in nats."""
        return max((each.largest for each in self.shifts.values()), default=0.0)

    @property
    def divergence(self) -> float:
        """The mean KL(old, new) an answer position, in nats."""
        positions = sum(each.positions for each in self.shifts.values())
        return sum(each.divergence for each in self.shifts.values()) / max(1, positions)

    @property
    def other_hardware(self) -> bool:
        """Whether the records are of different classes of hardware."""
        classes = [r.environment.hardware.get("hardware_class") for r in (self.old, self.new)]
        return classes[0] != classes[1]

    def flips_by_numops(self) -> dict[int, tuple[int, int]]:
        """Queries gained and lost by numops, for every numops that has any."""
        counted = Counter((flip.numops, flip.gained) for flip in self.flips)
        return {n: (counted[n, True], counted[n, False]) for n in sorted({n for n, _ in counted})}

    def as_json(self) -> dict[str, object]:
        """Everything but the records themselves."""
        from benchmark.regression.document import document

        return document(self)


def compare(old: Record, new: Record) -> Comparison:
    """Hold a new record against an old one, relative to the old one's noise floor."""
    alignment, limit = align(old, new), floor(old.repeats)
    shifts = _shifts(old, new, alignment)
    changed = changes(old, new, alignment)
    excused = _excused(changed, shifts, limit)
    moved = movements(old, new, alignment, shifts, limit.largest, excused)
    stage = next((each.stage for each in moved if not each.within), None)
    return Comparison(
        old=old,
        new=new,
        alignment=alignment,
        floor=limit,
        movements=moved,
        shifts=shifts,
        changes=changed,
        excused=excused,
        flips=flips(old, new, alignment),
        test=_test(old, new, alignment),
        suspects=suspects(old, new, stage),
        examples=examples(old, new, alignment, next((m for m in moved if m.stage == stage), None)),
    )


def _shifts(old: Record, new: Record, alignment: Alignment) -> dict[int, Shift]:
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


def _test(old: Record, new: Record, alignment: Alignment) -> PairedTest | None:
    before, after = paired(old, new, alignment)
    if not before:
        return None
    rng = np.random.Generator(np.random.PCG64(_SEED))
    return paired_test(before, after, rng, lambda _: True)
