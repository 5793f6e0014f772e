"""Syrupy extensions for results and published figures: one JSON file each, in ``snapshots/``."""

from pathlib import Path

from syrupy.data import SnapshotCollection
from syrupy.extensions.json import JSONSnapshotExtension
from syrupy.extensions.single_file import SingleFileSnapshotExtension
from syrupy.location import PyTestLocation

from benchmark.errors import DataError
from benchmark.pytest_plugin.snapshots.confirmation import (
    await_confirmation,
    place,
    unconfirmed,
)
from benchmark.pytest_plugin.snapshots.tolerance import outcomes_agree
from benchmark.reading.documents import parse_json
from benchmark.records import Outcome
from benchmark.scoring.outcomes import OTHERS, read_outcomes

_COUNTS = ("overall", "nontrivial", "by_numops")
_OF_A_SCORE = ("percent", "outcomes", *_COUNTS)


class ProjectExtension(SingleFileSnapshotExtension):
    """Keeps the snapshots of a test file in a folder of their own, next to ``pyproject.toml``.

    A new snapshot is recorded only if a second process gives it again
    (:mod:`benchmark.pytest_plugin.snapshots.confirmation`).
    """

    @classmethod
    def dirname(cls, *, test_location: PyTestLocation) -> str:
        """Return ``snapshots/<name of the test file>`` next to the project's ``pyproject.toml``."""
        test_file = Path(test_location.filepath)
        roots = (folder for folder in test_file.parents if (folder / "pyproject.toml").is_file())
        return str(next(roots, test_file.parent) / "snapshots" / test_file.stem)

    @classmethod
    def discovery_dirname(cls, *, test_location: PyTestLocation) -> str:
        """Return the folder in which unused snapshots are searched: that of the test file."""
        return cls.dirname(test_location=test_location)

    @classmethod
    def files_of(cls, location: Path) -> list[Path]:
        """Return the files of a snapshot, its own first."""
        return [location]

    @classmethod
    def move(cls, source: Path, location: Path) -> None:
        """Move a snapshot to its place, where it replaces an older one."""
        source.replace(location)

    @classmethod
    def write_snapshot_collection(
        cls,
        *,
        snapshot_collection: SnapshotCollection,
        name_order: dict[str, int] | None = None,
    ) -> None:
        """Write a snapshot next to its place, where it gets if a second process gives it again."""
        location = Path(snapshot_collection.location)
        new = SnapshotCollection(location=str(unconfirmed(location)))
        for snapshot in snapshot_collection:
            new.add(snapshot)
        super().write_snapshot_collection(snapshot_collection=new, name_order=name_order)
        await_confirmation(cls, location)

    def read_snapshot_data_from_location(
        self, *, snapshot_location: str, snapshot_name: str, session_id: str
    ) -> str | bytes | None:
        """Return the snapshot; None if there is none."""
        return super().read_snapshot_data_from_location(
            snapshot_location=str(place(Path(snapshot_location))),
            snapshot_name=snapshot_name,
            session_id=session_id,
        )


class MeasurementExtension(ProjectExtension, JSONSnapshotExtension):
    """Compare a result with its snapshot.

    Versions, matrix-product backends and the costs of a pass may always differ. On the same
    hardware, every figure and every query's outcome by each score must be the same. On other
    hardware, a few outcomes may differ without a direction (:func:`outcomes_agree`), and with them
    the figures counted from them.
    """

    def matches(self, *, serialized_data: object, snapshot_data: object) -> bool:
        """Return whether the result counts as equal to the snapshot."""
        measured, recorded = _load(serialized_data), _load(snapshot_data)
        hardware, recorded_hardware = _hardware(measured), _hardware(recorded)
        measured, recorded = _without_processor(measured), _without_processor(recorded)
        # A snapshot that is older than a score does not have it.
        unknown = [by for by in OTHERS if by not in recorded]
        measured = _without(measured, *unknown)
        if hardware == recorded_hardware:
            return _without(measured, "environment") == _without(recorded, "environment")
        free = ("environment", *_OF_A_SCORE, *OTHERS)
        return _without(measured, *free) == _without(recorded, *free) and all(
            _alike(ours, theirs, measured)
            for ours, theirs in zip(_by_score(measured), _by_score(recorded), strict=True)
        )


class PublishedExtension(ProjectExtension, JSONSnapshotExtension):
    """Keeps snapshots under ``snapshots/published/<name of the test file>``."""

    @classmethod
    def dirname(cls, *, test_location: PyTestLocation) -> str:
        """Return the test file's folder under ``snapshots/published``."""
        folder = Path(super().dirname(test_location=test_location))
        return str(folder.parent / "published" / folder.name)


def _load(text: object) -> dict[str, object]:
    data = parse_json(text, "the snapshot or the result") if isinstance(text, str) else {}
    return data if isinstance(data, dict) else {"value": data}


def _hardware(document: dict[str, object]) -> object:
    """Return what rounding depends on: the hardware class and the number of threads."""
    environment = document.get("environment")
    hardware = environment.get("hardware") if isinstance(environment, dict) else None
    if not isinstance(hardware, dict):
        return None
    return hardware.get("hardware_class"), hardware.get("threads")


def _without_processor(document: dict[str, object]) -> dict[str, object]:
    """Return the document without kernels and costs, which depend on the processor or GPU."""
    compositions = document.get("compositions")
    if not isinstance(compositions, list):
        return document
    names = ("products", "pace", "attention", "kernels")
    stripped = [_without(entry, *names) for entry in compositions if isinstance(entry, dict)]
    complete = len(stripped) == len(compositions)
    return {**document, "compositions": stripped} if complete else document


def _without(document: dict[str, object], *names: str) -> dict[str, object]:
    return {name: value for name, value in document.items() if name not in names}


def _by_score(document: dict[str, object]) -> list[dict[str, object]]:
    """Return the document's part of each score, the main one first."""
    others = (document.get(by, {}) for by in OTHERS)
    return [document, *(part if isinstance(part, dict) else {} for part in others)]


def _alike(
    measured: dict[str, object], recorded: dict[str, object], document: dict[str, object]
) -> bool:
    """Return whether the outcomes by one score agree, and the counts are those of the outcomes.

    ``document`` has the sequences and numops of both.
    """
    return (
        _totals(measured) == _totals(recorded)
        and _counts_its_outcomes(measured)
        and _close(measured.get("outcomes"), recorded.get("outcomes"), document)
    )


def _totals(counts: object) -> object:
    """Return the numbers of queries in a document, without the numbers of correct ones."""
    if not isinstance(counts, dict):
        return counts
    if "total" in counts:
        return counts["total"]
    return {
        name: _totals(part) for name, part in counts.items() if name in _COUNTS or name.isdecimal()
    }


def _counts_its_outcomes(document: dict[str, object]) -> bool:
    """Return whether the number of correct queries equals the number of 1s in the outcomes."""
    overall, outcomes = document.get("overall"), document.get("outcomes")
    if not isinstance(overall, dict) or not isinstance(outcomes, list):
        return overall is None and outcomes is None
    return overall.get("correct") == "".join(outcomes).count("1")


def _close(measured: object, recorded: object, document: dict[str, object]) -> bool:
    """Return whether two lists of outcomes, one string of 0 and 1 per state, agree."""
    if not isinstance(measured, list) or not isinstance(recorded, list):
        return measured == recorded
    try:
        return outcomes_agree(*(_outcomes(column, document) for column in (recorded, measured)))
    except (DataError, ValueError):  # of different numbers of states or queries
        return False


def _outcomes(column: list[object], document: dict[str, object]) -> list[Outcome]:
    """Return the outcomes; without stored numops all queries are one group.

    Raises:
        DataError: if they do not fit the sequences and numops.
    """
    numops = document.get("numops", ["1" * len(str(state)) for state in column])
    return read_outcomes({**document, "numops": numops, "outcomes": column})
