"""A syrupy extension for measurements: one JSON file a snapshot, under ``snapshots/``."""

import json
from pathlib import Path

from syrupy.extensions.json import JSONSnapshotExtension
from syrupy.location import PyTestLocation

from benchmark.scoring.outcomes import OTHERS

OTHER_HARDWARE_FLIPS = 0.02
"""The share of queries whose outcome may differ on other hardware than the snapshot's.

Other vector widths and thread counts round otherwise, and a near tie may fall the other way.
"""

_COUNTS = ("overall", "nontrivial", "by_numops")
_OF_A_SCORE = ("percent", "outcomes", *_COUNTS)


class MeasurementExtension(JSONSnapshotExtension):
    """Compares a result with its snapshot; only versions, and what multiplied, may always differ.

    On the same hardware every figure and every query's outcome by each score must be the same,
    whatever the versions: that is the alarm. On other hardware a few outcomes may differ, and
    with them what is counted from them.
    """

    @classmethod
    def dirname(cls, *, test_location: PyTestLocation) -> str:
        """``snapshots/<name of the test file>`` beside the project's ``pyproject.toml``."""
        test_file = Path(test_location.filepath)
        roots = (folder for folder in test_file.parents if (folder / "pyproject.toml").is_file())
        return str(next(roots, test_file.parent) / "snapshots" / test_file.stem)

    @classmethod
    def discovery_dirname(cls, *, test_location: PyTestLocation) -> str:
        """Where unused snapshots are looked for: the folder of the one test file."""
        return cls.dirname(test_location=test_location)

    def matches(self, *, serialized_data: object, snapshot_data: object) -> bool:
        """Whether the result counts as the one in the snapshot."""
        measured, recorded = _load(serialized_data), _load(snapshot_data)
        hardware, recorded_hardware = _hardware(measured), _hardware(recorded)
        measured, recorded = _any_products(measured), _any_products(recorded)
        # A snapshot from before there was a score says nothing of it.
        unknown = [by for by in OTHERS if by not in recorded]
        measured = _without(measured, *unknown)
        if hardware == recorded_hardware:
            return _without(measured, "environment") == _without(recorded, "environment")
        free = ("environment", *_OF_A_SCORE, *OTHERS)
        return _without(measured, *free) == _without(recorded, *free) and all(
            _alike(*pair) for pair in zip(_by_score(measured), _by_score(recorded), strict=True)
        )


def _load(text: object) -> dict[str, object]:
    data = json.loads(text) if isinstance(text, str | bytes) else {}
    return data if isinstance(data, dict) else {"value": data}


def _hardware(document: dict[str, object]) -> object:
    """What decides how results round: the hardware class and the number of threads."""
    environment = document.get("environment")
    hardware = environment.get("hardware") if isinstance(environment, dict) else None
    if not isinstance(hardware, dict):
        return None
    return hardware.get("hardware_class"), hardware.get("threads")


def _any_products(document: dict[str, object]) -> dict[str, object]:
    """The document whatever multiplied: that is chosen by processor, free memory and torch."""
    compositions = document.get("compositions")
    if not isinstance(compositions, list):
        return document
    known = [_without(each, "products") for each in compositions if isinstance(each, dict)]
    return {**document, "compositions": known} if len(known) == len(compositions) else document


def _without(document: dict[str, object], *names: str) -> dict[str, object]:
    return {name: value for name, value in document.items() if name not in names}


def _by_score(document: dict[str, object]) -> list[dict[str, object]]:
    """What the document says by the main score, and by each other one."""
    others = (document.get(by, {}) for by in OTHERS)
    return [document, *(each if isinstance(each, dict) else {} for each in others)]


def _alike(measured: dict[str, object], recorded: dict[str, object]) -> bool:
    """Whether few outcomes by one score differ, and the counts are those of the outcomes."""
    return (
        _totals(measured) == _totals(recorded)
        and _counts_its_outcomes(measured)
        and _close(measured.get("outcomes"), recorded.get("outcomes"))
    )


def _totals(counts: object) -> object:
    """The counts of a document without what is correct of them: how many queries of each kind."""
    if not isinstance(counts, dict):
        return counts
    if "total" in counts:
        return counts["total"]
    return {
        name: _totals(part) for name, part in counts.items() if name in _COUNTS or name.isdecimal()
    }


def _counts_its_outcomes(document: dict[str, object]) -> bool:
    """Whether the number of correct queries is that of the 1s among the outcomes."""
    overall, outcomes = document.get("overall"), document.get("outcomes")
    if not isinstance(overall, dict) or not isinstance(outcomes, list):
        return overall is None and outcomes is None
    return overall.get("correct") == "".join(outcomes).count("1")


def _close(measured: object, recorded: object) -> bool:
    """Whether two lists of outcomes, a string of 0 and 1 a state, differ in few places."""
    if not isinstance(measured, list) or not isinstance(recorded, list):
        return measured == recorded
    if [len(state) for state in measured] != [len(state) for state in recorded]:
        return False
    pairs = list(zip("".join(measured), "".join(recorded), strict=True))
    return sum(a != b for a, b in pairs) <= OTHER_HARDWARE_FLIPS * len(pairs)
