"""An upgrade over several models: their fingerprints before and after, and one decision."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import DataError, SettingError
from benchmark.fingerprints.compare import compare
from benchmark.fingerprints.comparison import FingerprintDiff, Severity
from benchmark.fingerprints.error_changes import error_change_line
from benchmark.fingerprints.flips import paired
from benchmark.fingerprints.storage import read_fingerprint
from benchmark.fingerprints.terminal import headline
from benchmark.runs.paired_table import detectable_points
from benchmark.scoring.outcomes import MAIN
from benchmark.stats.constants import LEVEL, POWER, SAME_MARGIN, fresh_rng
from benchmark.stats.joint import TOGETHER, JointTest, joint_test
from benchmark.stats.points import POINTS, signed_points
from benchmark.stats.states_needed import few_states_warning
from benchmark.terminal import p_value, shortened

_ENDINGS = (".json", ".json.gz")
_NAME_WIDTH = 30


@dataclass(frozen=True, slots=True)
class UpgradeDiff:
    """The differences of several models, by name.

    Attributes:
        comparisons: the comparison of each model.
        joint: the test of outcomes over the models that have any; None if no model has.
        margin: largest difference of accuracies (0..1) that counts as none.
    """

    comparisons: Mapping[str, FingerprintDiff]
    joint: JointTest | None
    margin: float = SAME_MARGIN

    @property
    def severity(self) -> Severity:
        """The severity of the worst model."""
        order = list(Severity)
        return max((diff.severity for diff in self.comparisons.values()), key=order.index)

    @property
    def exit_status(self) -> int:
        """The exit status of the worst model."""
        return max(diff.exit_status for diff in self.comparisons.values())

    def as_json(self) -> dict[str, object]:
        """Return every comparison, and the joint decisions."""
        return {
            "severity": self.severity.value,
            "exit_status": self.exit_status,
            "models": {name: diff.as_json() for name, diff in self.comparisons.items()},
            "joint": self.joint and self._joint_as_json(self.joint),
        }

    def _joint_as_json(self, joint: JointTest) -> dict[str, object]:
        return {
            "p": joint.p,
            "level": LEVEL,
            "p_adjusted": dict(joint.adjusted),
            "decisions": {name: one.as_json() for name, one in joint.differs().items()},
            "together": joint.together().as_json(),
            "equality": joint.is_equal(self.margin).as_json(),
            "not_worse": joint.is_not_worse(self.margin).as_json(),
            "warning": few_states_warning(*(t.states for t in joint.tests.values())) or None,
        }


def compare_folders(old: Path, new: Path, margin: float = SAME_MARGIN) -> UpgradeDiff:
    """Compare the records of two folders that have the same file names.

    Raises:
        DataError: if a folder has no records, or a record cannot be read.
        SettingError: if a record is in one folder only, or two are of different kinds.
    """
    names = [_records(folder) for folder in (old, new)]
    if single := names[0].keys() ^ names[1].keys():
        name = min(single)
        where, other = (old, new) if name in names[0] else (new, old)
        raise SettingError(f"{where} has a record {name} and {other} has none; give both the same")
    comparisons = {}
    for name in sorted(names[0]):
        before, after = (read_fingerprint(paths[name]) for paths in names)
        if before.kind != after.kind:
            raise SettingError(f"{name}: a {before.kind} record and a {after.kind} record")
        comparisons[name] = compare(before, after, margin)
    return UpgradeDiff(comparisons, _joint(comparisons), margin)


def _records(folder: Path) -> dict[str, Path]:
    """Return the records of a folder by name, without the ending."""
    files = [path for ending in _ENDINGS for path in sorted(folder.glob(f"*{ending}"))]
    paths = dict[str, Path]()
    for path in files:
        name = re.sub(r"\.json(\.gz)?$", "", path.name)
        if name in paths:
            raise SettingError(f"{paths[name]} and {path.name}: two records of {name}; keep one")
        paths[name] = path
    if not paths:
        raise DataError(f"{folder}: no fingerprints; write one per model with fingerprint --out")
    return paths


def _joint(comparisons: Mapping[str, FingerprintDiff]) -> JointTest | None:
    models = {
        name: outcomes
        for name, diff in comparisons.items()
        if diff.test and (outcomes := paired(diff.old, diff.new, diff.alignment, MAIN))[0]
    }
    return joint_test(models, fresh_rng()) if models else None


def upgrade_lines(upgrade: UpgradeDiff) -> Iterator[str]:
    """Yield the one decision, then a row per model, at most 80 columns wide."""
    models = len(upgrade.comparisons)
    yield f"{upgrade.severity.value}: {models} model{'s' * (models != 1)}"
    joint = upgrade.joint
    if joint:
        carriers = [n for n, one in joint.differs().items() if one.verdict == "supported"]
        carried = f"; changed: {', '.join(carriers)}" if carriers else ""
        yield f"outcomes of the upgrade: p {p_value(joint.p)}{carried}"
        not_worse = joint.is_not_worse(upgrade.margin)
        yield f"all are {joint.is_equal(upgrade.margin).summary()}"
        yield f"none is worse by {POINTS.margin(upgrade.margin)}: {not_worse.verdict_words}"
    yield f"{'model':<{_NAME_WIDTH}} {'points':>7} {'sees':>5} {'p':>8} {'adjusted':>8}  severity"
    for name, diff in upgrade.comparisons.items():
        yield _row(name, diff, joint)
    if joint:
        points, sees = signed_points(joint.pooled.value, 2), detectable_points(joint.pooled)
        together = p_value(joint.adjusted[TOGETHER])
        yield f"{TOGETHER:<{_NAME_WIDTH}} {points:>7} {sees:>5} {'':>8} {together:>8}"
        yield "adjusted: over the models and their mean (Westfall and Young, common signs)"
        yield f"sees: points that the test of the row alone would find (power {100 * POWER:.0f} %)"
        if warning := few_states_warning(*(test.states for test in joint.tests.values())):
            yield warning
    for name, diff in upgrade.comparisons.items():
        if not diff.severity.within_noise:
            yield f"{name}: {headline(diff)}"
            if diff.errors:
                yield f"{name}: {error_change_line(diff.errors)}"


def _row(name: str, diff: FingerprintDiff, joint: JointTest | None) -> str:
    test = joint and joint.tests.get(name)
    points = sees = p = adjusted = ""
    if joint and test:
        points, sees = signed_points(test.difference, 2), detectable_points(test.clustered)
        p, adjusted = p_value(test.two_sided), p_value(joint.adjusted[name])
    label = shortened(name, _NAME_WIDTH)
    return (
        f"{label:<{_NAME_WIDTH}} {points:>7} {sees:>5} {p:>8} {adjusted:>8}  {diff.severity.value}"
    )
