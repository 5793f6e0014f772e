"""What two records differ in, and how bad that is."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum

from benchmark.fingerprints.alignment import Alignment
from benchmark.fingerprints.attribution import Suspect
from benchmark.fingerprints.examples import Example
from benchmark.fingerprints.flips import Change, Flip
from benchmark.fingerprints.logits import Shift
from benchmark.fingerprints.noise import Floor
from benchmark.fingerprints.record import Fingerprint
from benchmark.fingerprints.scores import uncompared_scores
from benchmark.fingerprints.stage_diffs import StageDiff
from benchmark.fingerprints.stages import STAGES, in_order
from benchmark.scoring.outcomes import MAIN, main_first
from benchmark.stats.paired import PairedTest


class Severity(StrEnum):
    """How bad a shift is, the worst last."""

    SAME = "same"
    NOISE = "noise"
    DRIFT = "drift"
    REGRESSION = "regression"

    @property
    def within_noise(self) -> bool:
        """Whether nothing moved, or no more than repeats of the same run do."""
        return self in {Severity.SAME, Severity.NOISE}


EXIT_STATUSES: Mapping[Severity, int] = {
    Severity.SAME: 0,
    Severity.NOISE: 0,
    Severity.DRIFT: 3,
    Severity.REGRESSION: 4,
}
"""1 and 2 are left to crashes and to misuse."""


@dataclass(frozen=True, slots=True)
class FingerprintDiff:
    """What two records differ in.

    ``stage_diffs`` are the stages that differ, in order; ``shifts`` those of log-probabilities by
    state; ``changes`` the answers whose tokens differ, ``excused`` the states among them whose
    first changed token was a near tie; ``all_flips`` and ``tests`` are the queries that turned
    round and the clustered test of outcomes, by every score that both records have.
    """

    old: Fingerprint
    new: Fingerprint
    alignment: Alignment
    floor: Floor
    stage_diffs: tuple[StageDiff, ...]
    shifts: Mapping[int, Shift]
    changes: tuple[Change, ...]
    excused: frozenset[int]
    all_flips: Mapping[str, tuple[Flip, ...]]
    tests: Mapping[str, PairedTest]
    suspects: tuple[Suspect, ...] = ()
    examples: tuple[Example, ...] = ()

    @property
    def moved(self) -> tuple[StageDiff, ...]:
        """The stages that moved beyond noise."""
        return tuple(each for each in self.stage_diffs if not each.within)

    @property
    def stage(self) -> str | None:
        """The earliest stage that moved beyond noise; None where none did."""
        return self.moved[0].stage if self.moved else None

    @property
    def severity(self) -> Severity:
        """``regression`` where a stage fails now or outcomes by ``set`` changed beyond noise.

        ``drift`` where any stage moved beyond noise otherwise, outcomes by another score alone
        included; ``noise`` where only roundings differ, ``same`` where not even those do.
        """
        turned = any(flip.state not in self.excused for flip in self.flips)
        counted = any(
            STAGES[each.stage].decisive and not each.spares_the_main_score for each in self.moved
        )
        if self.failed or self.alignment.lost or turned or counted:
            return Severity.REGRESSION
        if self.moved:
            return Severity.DRIFT
        return Severity.NOISE if self.stage_diffs else Severity.SAME

    @property
    def flips(self) -> tuple[Flip, ...]:
        """The queries that turned round by the main score."""
        return self.all_flips.get(MAIN, ())

    @property
    def turned_scores(self) -> tuple[str, ...]:
        """The scores by which queries turned round: others than the main one if not the same."""
        return tuple(
            by for by, some in self.all_flips.items() if some and (by == MAIN or some != self.flips)
        )

    @property
    def test(self) -> PairedTest | None:
        """The test of outcomes by the main score; None where nothing can be paired."""
        return self.tests.get(MAIN)

    @property
    def exit_status(self) -> int:
        """The process's exit status, see :data:`EXIT_STATUSES`."""
        return EXIT_STATUSES[self.severity]

    @property
    def failed(self) -> dict[str, str]:
        """The stages that ended in an error now and did not in the old record."""
        found = ((each.stage, each.failed) for each in self.stage_diffs)
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
    def uncompared(self) -> dict[str, str]:
        """The stages that only one of the records has, by which one: nothing is said of them."""
        apart = self.old.stages.keys() ^ self.new.stages.keys()
        return {n: "old" if n in self.old.stages else "new" for n in in_order(sorted(apart))}

    @property
    def uncompared_scores(self) -> dict[str, str]:
        """The scores that only one of the records has outcomes by, and which."""
        return uncompared_scores(self.old, self.new)

    @property
    def other_hardware(self) -> bool:
        """Whether the records are of different classes of hardware."""
        classes = [r.environment.hardware.get("hardware_class") for r in (self.old, self.new)]
        return classes[0] != classes[1]

    def flips_by_numops(self, by: str = MAIN) -> dict[int, tuple[int, int]]:
        """Queries gained and lost by numops, for every numops that has any."""
        counted = Counter((flip.numops, flip.gained) for flip in self.all_flips.get(by, ()))
        return {n: (counted[n, True], counted[n, False]) for n in sorted({n for n, _ in counted})}

    def as_json(self) -> dict[str, object]:
        """Severity, stage, figures, flips, test, suspects and examples; not the records.

        Flips and test are by ``set``; those by another score are under its name.
        """
        return {
            "severity": self.severity.value,
            "exit_status": self.exit_status,
            "stage": self.stage,
            "states": len(self.alignment.pairs),
            "stages": {each.stage: each.as_json() for each in self.stage_diffs},
            "failed": self.failed,
            "not_compared": {**self.uncompared, **self.uncompared_scores},
            "logits": {
                "largest": self.largest,
                "mean_kl": self.divergence,
                "floor": self.floor.largest,
                "measured_floor": self.floor.measured,
            },
            "answers_changed": len(self.changes),
            "answers_changed_by_noise": len(self.excused),
            **main_first({by: self._score_as_json(by) for by in (MAIN, *self.all_flips)}),
            "margins": [change.as_json() for change in self.changes],
            "examples": [example.as_json() for example in self.examples],
            "suspects": [suspect.as_json() for suspect in self.suspects],
            "other_hardware": self.other_hardware,
        }

    def _score_as_json(self, by: str) -> dict[str, object]:
        turned, test = self.all_flips.get(by, ()), self.tests.get(by)
        return {
            "flips": {
                "gained": sum(flip.gained for flip in turned),
                "lost": sum(not flip.gained for flip in turned),
                "by_numops": {
                    str(n): {"gained": gained, "lost": lost}
                    for n, (gained, lost) in self.flips_by_numops(by).items()
                },
            },
            "test": asdict(test) if test else None,
        }
