"""The syrupy extension for fingerprints, which are compared by stage and blessed with a reason.

A snapshot is ``NAME.json``, to be read in a pull request, with its columns next to it. Each kind of
run (a hardware class and a protocol) has its own folder. If a kind has no snapshot yet, that of
other hardware is used instead, with its tolerance.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.data import SnapshotCollection, SnapshotCollections
from syrupy.location import PyTestLocation

from benchmark.errors import DataError, SettingError
from benchmark.fingerprints.ci import properties
from benchmark.fingerprints.compare import compare
from benchmark.fingerprints.comparison import FingerprintDiff
from benchmark.fingerprints.flips import paired
from benchmark.fingerprints.record import Fingerprint
from benchmark.fingerprints.stages import STAGES
from benchmark.fingerprints.storage import (
    columns_path,
    fingerprint_text,
    move_fingerprint,
    read_fingerprint,
    read_text,
    write_fingerprint,
)
from benchmark.fingerprints.terminal import headline, rendered
from benchmark.pytest_plugin.options import margin
from benchmark.pytest_plugin.shown import shown
from benchmark.pytest_plugin.snapshots.confirmation import (
    await_confirmation,
    place,
    unconfirmed,
)
from benchmark.pytest_plugin.snapshots.extension import MeasurementExtension
from benchmark.pytest_plugin.snapshots.kinds import kind_of_run, of_kind, protocol_of_kind
from benchmark.pytest_plugin.snapshots.tolerance import outcomes_agree
from benchmark.reading.documents import read_json
from benchmark.stats.constants import SAME_MARGIN

FALLBACK = "fingerprint stand-in"
"""The name of the property of tests that are compared with another hardware's snapshot."""


@dataclass(frozen=True, slots=True)
class Blessing:
    """The permission to write snapshots.

    Attributes:
        reason: why a changed record is right; None if no reason was given.
        parallel: whether pytest-xdist runs several workers, which may not write.
        updating: whether this session writes snapshots; then each kind of run gets its own.
    """

    reason: str | None
    parallel: bool = False
    updating: bool = False

    def check(self) -> str:
        """Return the reason.

        Raises:
            SettingError: if there is none, or several workers run.
        """
        if self.parallel:
            raise SettingError("fingerprints are not updated in parallel; leave out -n")
        if not (self.reason or "").strip():
            raise SettingError(
                "--snapshot-update of a fingerprint needs a reason, which is kept with it: "
                "add --bless 'why this change is right'"
            )
        return str(self.reason).strip()


class FingerprintExtension(MeasurementExtension):
    """Matches records that are equal or within the noise floor; others fail with a comparison."""

    blessing = Blessing(None)
    margin = SAME_MARGIN

    def serialize(self, data: object, **_: object) -> str:
        """Return the record with its columns as one text.

        Raises:
            TypeError: for anything but a record.
        """
        if not isinstance(data, Fingerprint):
            raise TypeError(f"expected a Fingerprint, got {type(data).__name__}")
        return fingerprint_text(data)

    def matches(self, *, serialized_data: object, snapshot_data: object) -> bool:
        """Return whether nothing changed beyond noise; on other hardware, few outcomes may."""
        records = read_text(str(snapshot_data)), read_text(str(serialized_data))
        return acceptable(compare(*records, self.margin))

    def diff_lines(self, serialized_data: object, snapshot_data: object) -> Iterator[str]:
        """Yield the headline; the full comparison is a section of the report, never cut off."""
        if snapshot_data:
            old, new = (read_text(str(data)) for data in (snapshot_data, serialized_data))
            yield shown(headline(compare(old, new)))

    def read_snapshot_data_from_location(
        self,
        *,
        snapshot_location: str,
        snapshot_name: str,  # noqa: ARG002  # syrupy's signature, here and below
        session_id: str,  # noqa: ARG002
    ) -> str | None:
        """Return the snapshot; without one, that of other hardware unless this session updates."""
        path = stored(Path(snapshot_location), fallback=not self.blessing.updating)
        record = _read(path, self.blessing) if path else None
        return fingerprint_text(record) if record else None

    @classmethod
    def files_of(cls, location: Path) -> list[Path]:
        """Return the readable part and the columns."""
        return [location, columns_path(location)]

    @classmethod
    def move(cls, source: Path, location: Path) -> None:
        """Move readable part and columns to their places."""
        move_fingerprint(source, location)

    @classmethod
    def write_snapshot_collection(
        cls,
        *,
        snapshot_collection: SnapshotCollection,
        name_order: dict[str, int] | None = None,  # noqa: ARG003
    ) -> None:
        """Write readable part and columns next to their places, with the reason after earlier ones.

        Raises:
            SettingError: without a reason, or if several workers run.
        """
        reason = cls.blessing.check()
        path = Path(snapshot_collection.location)
        new = read_text(str(next(iter(snapshot_collection)).data))
        blessings = [*_blessings(path), {"reason": reason, "change": _answer_change(path, new)}]
        write_fingerprint(new, unconfirmed(path), blessings)
        await_confirmation(cls, path)

    def delete_snapshots(self, *, snapshot_location: str, snapshot_names: set[str]) -> None:
        """Remove a snapshot with its columns."""
        super().delete_snapshots(snapshot_location=snapshot_location, snapshot_names=snapshot_names)
        columns_path(Path(snapshot_location)).unlink(missing_ok=True)

    def discover_snapshots(
        self, *, test_location: PyTestLocation, ignore_extensions: list[str] | None = None
    ) -> SnapshotCollections:
        """Return the snapshots; their columns are not snapshots of their own."""
        columns = columns_path(Path("any.json")).suffix.removeprefix(".")
        return super().discover_snapshots(
            test_location=test_location, ignore_extensions=[*(ignore_extensions or ()), columns]
        )


def acceptable(comparison: FingerprintDiff) -> bool:
    """Return whether a comparison passes: noise, or on other hardware few outcomes changed.

    Those few must not have a direction (:func:`outcomes_agree`), by any score, and the claim that
    the accuracies are equal within the comparison's margin must not be refuted. It need not be
    supported, since that takes 299 sequences even if nothing changes. At the default margin it
    cannot be refuted if at most 1 % of the outcomes changed.
    """
    if comparison.severity.within_noise:
        return True
    if not comparison.other_hardware or comparison.failed or comparison.alignment.lost:
        return False
    if comparison.stage and STAGES[comparison.stage].portable:
        return False  # prompts, token ids, constraint and weights do not depend on hardware
    if any(flips and by not in comparison.tests for by, flips in comparison.all_flips.items()):
        return False  # none of them can be paired
    equalities = [test.is_equal(comparison.margin) for test in comparison.tests.values()]
    if any(equality.verdict == "not supported" for equality in equalities):
        return False
    records = comparison.old, comparison.new, comparison.alignment
    return all(outcomes_agree(*paired(*records, by)) for by in comparison.tests)


def kind_of_record(record: Fingerprint) -> str:
    """Return the folder name of a record's hardware class and protocol."""
    environment = record.environment
    hardware = {"hardware": dict(environment.hardware)}
    described = {"protocol": dict(environment.protocol), "data": dict(environment.data)}
    return kind_of_run({**described, "environment": hardware})


def stored(path: Path, *, fallback: bool = True) -> Path | None:
    """Return the path of an existing snapshot; None if there is none.

    With ``fallback`` that is a snapshot of other hardware under the same protocol if ``path`` does
    not exist.
    """
    if place(path).is_file():
        return path
    if not fallback:
        return None
    kinds = path.parent.parent.parent
    own = path.parent.parent.name
    others = kinds.glob(f"*/{path.parent.name}/{_escaped(path.name)}")
    # Another protocol is a different measurement.
    return min(
        (o for o in others if protocol_of_kind(o.parent.parent.name) == protocol_of_kind(own)),
        default=None,
    )


@cache
def fingerprint_extension(
    kind: str, blessing: Blessing, margin: float = SAME_MARGIN
) -> type[FingerprintExtension]:
    """Return the extension for a kind of run, with the session's permission to write.

    ``margin`` is the largest difference (0..1) from another hardware's record that counts as none.
    """

    class FingerprintExtensionOfKind(FingerprintExtension):
        @classmethod
        def dirname(cls, *, test_location: PyTestLocation) -> str:
            folder = Path(FingerprintExtension.dirname(test_location=test_location))
            return str(of_kind(folder, "fingerprints", kind))

    FingerprintExtensionOfKind.blessing, FingerprintExtensionOfKind.margin = blessing, margin
    return FingerprintExtensionOfKind


def snapshot_of(
    snapshot: SnapshotAssertion, record: Fingerprint, blessing: Blessing, margin: float
) -> SnapshotAssertion:
    """Return the assertion that compares a record with the snapshot of its kind of run.

    The margin is that of :func:`fingerprint_extension`.
    """
    return snapshot.use_extension(fingerprint_extension(kind_of_record(record), blessing, margin))


def assert_matches(item: pytest.Item, record: Fingerprint, blessing: Blessing) -> None:
    """Add the comparison with a test's snapshot to the test's report.

    Figures become properties, in JUnit files too. A comparison that does not pass becomes a section
    of the report, as ``python -m benchmark compare`` prints it, at any verbosity. If the snapshot
    of other hardware is used, a property says so, and whether the accuracies are equal.
    """
    paths = _paths(item, kind_of_record(record), blessing)
    if paths is None:
        return
    own_path, path = paths
    old = _read(path, blessing)
    if old is None:
        return
    comparison = compare(old, record, margin(item.config, SAME_MARGIN))
    item.user_properties.extend(properties(comparison).items())
    if path != own_path:
        kinds = [file.parent.parent.name for file in (own_path, path)]
        line = f"{item.name}: no snapshot for {kinds[0]}, compared with {kinds[1]} instead"
        if comparison.test:
            line += f"; outcomes {comparison.test.is_equal(comparison.margin).summary()}"
        item.user_properties.append((FALLBACK, line))
    if not acceptable(comparison):
        item.add_report_section("call", "comparison", shown(rendered(comparison)))


def _read(path: Path, blessing: Blessing) -> Fingerprint | None:
    """Return the snapshot; None for a damaged one that this session is going to replace.

    Raises:
        DataError: for a damaged one otherwise.
    """
    try:
        return read_fingerprint(place(path))
    except DataError:
        if blessing.updating:
            return None
        raise


def is_recorded(item: pytest.Item, kind: str, blessing: Blessing) -> bool:
    """Return whether a test has a snapshot for its kind of run, or for other hardware."""
    return _paths(item, kind, blessing) is not None


def _paths(item: pytest.Item, kind: str, blessing: Blessing) -> tuple[Path, Path] | None:
    """Return the path of a test's own snapshot, and of the one to compare with."""
    location = PyTestLocation(item)
    own_path = fingerprint_extension(kind, blessing).get_location(test_location=location, index=0)
    path = stored(Path(own_path), fallback=not blessing.updating)
    return (Path(own_path), path) if path else None


def _answer_change(path: Path, new: Fingerprint) -> str:
    """Describe what a blessing changes."""
    if not path.is_file():
        return "first record"
    try:
        return headline(compare(read_fingerprint(path), new))
    except DataError as error:
        return f"replaces a record that could not be read: {error}"


def _blessings(path: Path) -> list[object]:
    """Return the earlier reasons, as far as they can be read."""
    try:
        blessings = read_json(path)["blessings"]
    except (DataError, KeyError):
        return []
    return blessings if isinstance(blessings, list) else []


def _escaped(name: str) -> str:
    """Escape a file name for glob: the names of parametrized tests have brackets."""
    return "".join(f"[{c}]" if c in "[]*?" else c for c in name)
