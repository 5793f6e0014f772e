"""The syrupy extension for fingerprints: compared by stages, blessed with a reason.

A snapshot is ``NAME.json``, which a person reads in a pull request, with its columns beside it.
Each kind of run, a hardware class under a protocol, has a folder of its own; where a kind has no
snapshot yet, another's stands in, with the tolerance of other hardware.
"""

import json
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
from benchmark.fingerprints.record import Fingerprint
from benchmark.fingerprints.stages import STAGES
from benchmark.fingerprints.storage import (
    columns_path,
    fingerprint_text,
    read_fingerprint,
    read_text,
    write_fingerprint,
)
from benchmark.fingerprints.terminal import headline, rendered
from benchmark.pytest_plugin.snapshots.extension import OTHER_HARDWARE_FLIPS, MeasurementExtension
from benchmark.pytest_plugin.snapshots.kinds import kind_of_run, of_kind

FALLBACK = "fingerprint stand-in"
"""The property of a test whose kind of run has no fingerprint of its own."""


@dataclass(frozen=True, slots=True)
class Blessing:
    """Whether snapshots may be written: with which reason, and not by one of several workers.

    ``updating`` is whether this session is to write them: then nothing stands in for a kind of run
    that has none, so that it gets its own.
    """

    reason: str | None
    parallel: bool = False
    updating: bool = False

    def check(self) -> str:
        """The reason.

        Raises:
            SettingError: when there is none, or workers run side by side.
        """
        if self.parallel:
            raise SettingError("fingerprints are not updated in parallel; leave out -n")
        if not (self.reason or "").strip():
            raise SettingError(
                "--snapshot-update of a fingerprint needs a reason, which is kept beside it: "
                "add --bless 'why this shift is right'"
            )
        return str(self.reason).strip()


class FingerprintExtension(MeasurementExtension):
    """Matches what is the same or within the noise floor; everything else is shown and fails."""

    blessing = Blessing(None)

    def serialize(self, data: object, **_: object) -> str:
        """The record with its columns, in one text.

        Raises:
            TypeError: for anything but a record.
        """
        if not isinstance(data, Fingerprint):
            raise TypeError(f"a fingerprint is wanted, not {type(data).__name__}")
        return fingerprint_text(data)

    def matches(self, *, serialized_data: object, snapshot_data: object) -> bool:
        """Whether nothing moved beyond noise; on other hardware, whether few outcomes did."""
        comparison = compare(read_text(str(snapshot_data)), read_text(str(serialized_data)))
        return acceptable(comparison)

    def diff_lines(self, serialized_data: object, snapshot_data: object) -> Iterator[str]:
        """The headline: pytest cuts off more, so the comparison is a section of the report."""
        if snapshot_data:
            yield headline(compare(read_text(str(snapshot_data)), read_text(str(serialized_data))))

    def read_snapshot_data_from_location(
        self,
        *,
        snapshot_location: str,
        snapshot_name: str,  # noqa: ARG002  # syrupy's signature, here and below
        session_id: str,  # noqa: ARG002
    ) -> str | None:
        """The recorded one; or another kind's, where this has none and none is to be written."""
        path = stored(Path(snapshot_location), stand_in=not self.blessing.updating)
        found = _read(path, self.blessing) if path else None
        return fingerprint_text(found) if found else None

    @classmethod
    def write_snapshot_collection(
        cls,
        *,
        snapshot_collection: SnapshotCollection,
        name_order: dict[str, int] | None = None,  # noqa: ARG003
    ) -> None:
        """Write readable part and columns, with the reason added to those given before.

        Raises:
            SettingError: without a reason, and from one of several workers.
        """
        reason = cls.blessing.check()
        path = Path(snapshot_collection.location)
        new = read_text(str(next(iter(snapshot_collection)).data))
        blessings = [*_blessings(path), {"reason": reason, "change": _change(path, new)}]
        write_fingerprint(new, path, blessings)

    def delete_snapshots(self, *, snapshot_location: str, snapshot_names: set[str]) -> None:
        """Remove a snapshot with its columns."""
        super().delete_snapshots(snapshot_location=snapshot_location, snapshot_names=snapshot_names)
        columns_path(Path(snapshot_location)).unlink(missing_ok=True)

    def discover_snapshots(
        self, *, test_location: PyTestLocation, ignore_extensions: list[str] | None = None
    ) -> SnapshotCollections:
        """The snapshots without their columns, which are no snapshots of their own."""
        columns = columns_path(Path("any.json")).suffix.removeprefix(".")
        return super().discover_snapshots(
            test_location=test_location, ignore_extensions=[*(ignore_extensions or ()), columns]
        )


def acceptable(comparison: FingerprintDiff) -> bool:
    """Whether a comparison passes: no more than noise, on other hardware no more than few flips."""
    if comparison.severity.within_noise:
        return True
    if not comparison.other_hardware or comparison.failed or comparison.alignment.lost:
        return False
    if comparison.stage and STAGES[comparison.stage].portable:
        return False  # no processor changes a prompt, a token, an expression or a weight
    queries = comparison.test.queries if comparison.test else 0
    most = max(map(len, comparison.all_flips.values()), default=0)
    return most <= OTHER_HARDWARE_FLIPS * queries


def kind_of_record(record: Fingerprint) -> str:
    """Hardware class and protocol as a folder's name."""
    environment = record.environment
    hardware = {"hardware": dict(environment.hardware)}
    described = {"protocol": dict(environment.protocol), "data": dict(environment.data)}
    return kind_of_run({**described, "environment": hardware})


def stored(path: Path, *, stand_in: bool = True) -> Path | None:
    """Where the snapshot of that place is: there, or in another kind's folder; None if nowhere.

    A stand-in is other hardware's under the same protocol. Without ``stand_in`` other folders
    are not looked into.
    """
    if path.is_file():
        return path
    if not stand_in:
        return None
    kinds = path.parent.parent.parent
    own = path.parent.parent.name
    others = kinds.glob(f"*/{path.parent.name}/{_escaped(path.name)}")
    # Under another protocol it would be another measurement.
    return min(
        (o for o in others if _protocol(o.parent.parent.name) == _protocol(own)), default=None
    )


@cache
def fingerprint_extension(kind: str, blessing: Blessing) -> type[FingerprintExtension]:
    """The extension for a kind of run, in a session that may bless or not."""

    class Extension(FingerprintExtension):
        @classmethod
        def dirname(cls, *, test_location: PyTestLocation) -> str:
            folder = Path(FingerprintExtension.dirname(test_location=test_location))
            return str(of_kind(folder, "fingerprints", kind))

    Extension.blessing = blessing
    return Extension


def snapshot_of(
    snapshot: SnapshotAssertion, record: Fingerprint, blessing: Blessing
) -> SnapshotAssertion:
    """The assertion that holds a record against the snapshot of its kind of run."""
    return snapshot.use_extension(fingerprint_extension(kind_of_record(record), blessing))


def assert_matches(item: pytest.Item, record: Fingerprint, blessing: Blessing) -> None:
    """Add the comparison with a test's snapshot to its report, and what stands in for none.

    Figures become properties, in JUnit files too; what does not pass is a section as well, as
    ``python -m benchmark compare`` prints it, whole at any verbosity.
    """
    places = _place(item, kind_of_record(record), blessing)
    if places is None:
        return
    place, path = places
    old = _read(path, blessing)
    if old is None:
        return
    comparison = compare(old, record)
    item.user_properties.extend(properties(comparison).items())
    if path != place:
        kinds = [each.parent.parent.name for each in (place, path)]
        line = f"{item.name}: {kinds[0]} has none, so {kinds[1]} stands in"
        item.user_properties.append((FALLBACK, line))
    if not acceptable(comparison):
        item.add_report_section("call", "comparison", rendered(comparison))


def _read(path: Path, blessing: Blessing) -> Fingerprint | None:
    """The snapshot; None for a damaged one that is about to be written anew.

    Raises:
        DataError: for a damaged one otherwise.
    """
    try:
        return read_fingerprint(path)
    except DataError:
        if blessing.updating:
            return None
        raise


def is_recorded(item: pytest.Item, kind: str, blessing: Blessing) -> bool:
    """Whether a test has a snapshot for its kind of run, or one that stands in."""
    return _place(item, kind, blessing) is not None


def _place(item: pytest.Item, kind: str, blessing: Blessing) -> tuple[Path, Path] | None:
    """Where a test's snapshot ought to be, and where the one is that it is held against."""
    location = PyTestLocation(item)
    wanted = fingerprint_extension(kind, blessing).get_location(test_location=location, index=0)
    path = stored(Path(wanted), stand_in=not blessing.updating)
    return (Path(wanted), path) if path else None


def _protocol(kind: str) -> str:
    """The last word of a kind's name."""
    return kind.rpartition("-")[2]


def _change(path: Path, new: Fingerprint) -> str:
    """What a blessing changes."""
    if not path.is_file():
        return "first record"
    try:
        return headline(compare(read_fingerprint(path), new))
    except DataError as error:
        return f"in place of a record that could not be read: {error}"


def _blessings(path: Path) -> list[object]:
    """The reasons given so far, as far as they can be read."""
    try:
        return list(json.loads(path.read_text(encoding="utf-8"))["blessings"])
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _escaped(name: str) -> str:
    """Names of parametrized tests have brackets, which a pattern reads as a choice."""
    return "".join(f"[{c}]" if c in "[]*?" else c for c in name)
