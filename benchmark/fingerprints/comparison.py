"""The difference of two records, and its severity."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from benchmark.fingerprints.alignment import StateAlignment
from benchmark.fingerprints.attribution import Suspect
from benchmark.fingerprints.examples import Example
from benchmark.fingerprints.flips import AnswerChange, Flip
from benchmark.fingerprints.logits import LogitDiff
from benchmark.fingerprints.noise import NoiseFloor
from benchmark.fingerprints.record import Fingerprint
from benchmark.fingerprints.scores import uncompared_scores
from benchmark.fingerprints.stage_diffs import StageDiff
from benchmark.fingerprints.stages import STAGES, in_order
from benchmark.models.digests import is_comparable
from benchmark.scoring.outcomes import MAIN, main_first
from benchmark.stats.constants import SAME_MARGIN
from benchmark.stats.error_contrast import TypeContrast
from benchmark.stats.paired import PairedTest
from benchmark.stats.states_needed import few_states_warning


class Severity(StrEnum):
    """How severe a change is, the worst last."""

    SAME = "same"
    NOISE = "noise"
    DRIFT = "drift"
    REGRESSION = "regression"

    @property
    def within_noise(self) -> bool:
        """Whether nothing changed, or no more than between repeats of one run."""
        return self in {Severity.SAME, Severity.NOISE}


EXIT_STATUSES: Mapping[Severity, int] = {
    Severity.SAME: 0,
    Severity.NOISE: 0,
    Severity.DRIFT: 3,
    Severity.REGRESSION: 4,
}
"""The exit status by severity; 2 is for errors, 1 for failed tests of ``canary``."""


@dataclass(frozen=True, slots=True)
class FingerprintDiff:
    """The difference of two records.

    Attributes:
        alignment: which of their states are compared.
        floor: the noise floor of the old record.
        stage_diffs: the stages that differ, in order.
        logit_diffs: the differences of log-probabilities, by the old state's number.
        answer_changes: the answers whose tokens differ.
        excused: the states among them whose first changed token was a near tie.
        all_flips: the queries whose outcome flipped, by every score that both records have.
        tests: the clustered tests of outcomes, by the same scores.
        errors: the change of each type of error that became more or less frequent.
        suspects: the differences of the environments, the likeliest cause first.
        examples: examples of the first changed stage.
        margin: largest difference of accuracies (0..1) that counts as none.
    """

    old: Fingerprint
    new: Fingerprint
    alignment: StateAlignment
    floor: NoiseFloor
    stage_diffs: tuple[StageDiff, ...]
    logit_diffs: Mapping[int, LogitDiff]
    answer_changes: tuple[AnswerChange, ...]
    excused: frozenset[int]
    all_flips: Mapping[str, tuple[Flip, ...]]
    tests: Mapping[str, PairedTest]
    errors: Mapping[str, TypeContrast] = field(default_factory=dict)
    suspects: tuple[Suspect, ...] = ()
    examples: tuple[Example, ...] = ()
    margin: float = SAME_MARGIN

    @property
    def changed(self) -> tuple[StageDiff, ...]:
        """The stages that changed beyond noise."""
        return tuple(diff for diff in self.stage_diffs if not diff.within)

    @property
    def stage(self) -> str | None:
        """The earliest stage that changed beyond noise; None if none did."""
        return self.changed[0].stage if self.changed else None

    @property
    def severity(self) -> Severity:
        """The severity of the difference.

        ``regression`` if a stage fails now, states are missing, or outcomes by ``set`` changed
        beyond noise; ``drift`` if another stage changed beyond noise, including outcomes by
        another score alone; ``noise`` if only rounding differs; ``same`` if nothing does.
        """
        flipped = any(flip.state not in self.excused for flip in self.flips)
        counted = any(
            STAGES[diff.stage].decisive and not diff.main_score_unchanged for diff in self.changed
        )
        if self.failed or self.alignment.lost or flipped or counted:
            return Severity.REGRESSION
        if self.changed:
            return Severity.DRIFT
        return Severity.NOISE if self.stage_diffs else Severity.SAME

    @property
    def flips(self) -> tuple[Flip, ...]:
        """The queries whose outcome by the main score flipped."""
        return self.all_flips.get(MAIN, ())

    @property
    def flipped_scores(self) -> tuple[str, ...]:
        """The scores by which outcomes flipped: the main one, and others whose flips differ."""
        return tuple(
            by
            for by, flips in self.all_flips.items()
            if flips and (by == MAIN or flips != self.flips)
        )

    @property
    def test(self) -> PairedTest | None:
        """The test of outcomes by the main score; None if no outcomes can be paired."""
        return self.tests.get(MAIN)

    @property
    def exit_status(self) -> int:
        """The process's exit status, see :data:`EXIT_STATUSES`."""
        return EXIT_STATUSES[self.severity]

    @property
    def failed(self) -> dict[str, str]:
        """The stages that fail in the new record only, each with the line of its error."""
        return {diff.stage: diff.failed for diff in self.stage_diffs if diff.failed}

    @property
    def largest(self) -> float:
        """The largest difference of a log-probability, in nats."""
        return max((diff.largest for diff in self.logit_diffs.values()), default=0.0)

    @property
    def divergence(self) -> float:
        """The mean KL(old, new) per answer position, in nats."""
        positions = sum(diff.positions for diff in self.logit_diffs.values())
        return sum(diff.divergence for diff in self.logit_diffs.values()) / max(1, positions)

    @property
    def uncompared(self) -> dict[str, str]:
        """The stages that only one of the records has, and which one: old or new."""
        single = self.old.stages.keys() ^ self.new.stages.keys()
        return {n: "old" if n in self.old.stages else "new" for n in in_order(sorted(single))}

    @property
    def uncompared_scores(self) -> dict[str, str]:
        """The scores that only one of the records has outcomes by, and which one."""
        return uncompared_scores(self.old, self.new)

    @property
    def different_models(self) -> tuple[str, str] | None:
        """The names of the models if they differ, old and new; None for one model.

        Files decide, by their digest. Records of vanilla use have only the folder's name, which
        decides also if an older version made one of the digests.
        """
        old, new = (record.environment.model for record in (self.old, self.new))
        digests = [model.get("fingerprint") for model in (old, new)]
        key = "fingerprint" if all(digests) and is_comparable(*digests) else "name"
        if old.get(key) == new.get(key):
            return None
        return str(old.get("name")), str(new.get("name"))

    @property
    def other_hardware(self) -> bool:
        """Whether the records are of different classes of hardware."""
        classes = [r.environment.hardware.get("hardware_class") for r in (self.old, self.new)]
        return classes[0] != classes[1]

    def flips_by_numops(self, by: str = MAIN) -> dict[int, tuple[int, int]]:
        """Return the queries gained and lost by numops, for every numops that has any."""
        counted = Counter((flip.numops, flip.gained) for flip in self.all_flips.get(by, ()))
        return {n: (counted[n, True], counted[n, False]) for n in sorted({n for n, _ in counted})}

    def as_json(self) -> dict[str, object]:
        """Return severity, stage, figures, flips, test, suspects and examples.

        Flips and test are by ``set``; those by another score are under its name.
        """
        return {
            "severity": self.severity.value,
            "exit_status": self.exit_status,
            "stage": self.stage,
            "states": len(self.alignment.pairs),
            "stages": {diff.stage: diff.as_json() for diff in self.stage_diffs},
            "failed": self.failed,
            "not_compared": {**self.uncompared, **self.uncompared_scores},
            "logits": {
                "largest": self.largest,
                "mean_kl": self.divergence,
                "floor": self.floor.largest,
                "measured_floor": self.floor.measured,
            },
            "answers_changed": len(self.answer_changes),
            "answers_changed_by_noise": len(self.excused),
            **main_first({by: self._score_as_json(by) for by in (MAIN, *self.all_flips)}),
            "errors": {name: change.as_json() for name, change in self.errors.items()},
            "margins": list(map(asdict, self.answer_changes)),
            "examples": list(map(asdict, self.examples)),
            "suspects": list(map(asdict, self.suspects)),
            "other_hardware": self.other_hardware,
            "different_models": list(self.different_models) if self.different_models else None,
        }

    def _score_as_json(self, by: str) -> dict[str, object]:
        flips, test = self.all_flips.get(by, ()), self.tests.get(by)
        return {
            "flips": {
                "gained": sum(flip.gained for flip in flips),
                "lost": sum(not flip.gained for flip in flips),
                "by_numops": {
                    str(n): {"gained": gained, "lost": lost}
                    for n, (gained, lost) in self.flips_by_numops(by).items()
                },
            },
            "test": {
                **asdict(test),
                "detectable": test.detectable,
                "decision": test.differs().as_json(),
                "equality": test.is_equal(self.margin).as_json(),
                "not_worse": test.is_not_worse(self.margin).as_json(),
                "warning": few_states_warning(test.states) or None,
            }
            if test
            else None,
        }
