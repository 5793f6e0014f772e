"""A syrupy extension for measurements: one JSON file per snapshot, under ``snapshots/``."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
from syrupy.extensions.json import JSONSnapshotExtension
from syrupy.location import PyTestLocation

from benchmark.scoring.outcomes import OTHERS
from benchmark.stats.constants import RECORD_LEVEL, fresh_rng
from benchmark.stats.paired import sign_flip_test

OTHER_HARDWARE_FLIPS = 0.01
"""Largest share of outcomes that may change on hardware other than the snapshot's.

Other vector widths and thread counts round differently, and a near tie may be decided the other
way. Such changes have no direction: a paired test of the outcomes must also have a p-value of at
least :data:`benchmark.stats.constants.RECORD_LEVEL`.
"""

_COUNTS = ("overall", "nontrivial", "by_numops")
_OF_A_SCORE = ("percent", "outcomes", *_COUNTS)


class MeasurementExtension(JSONSnapshotExtension):
    """Compare a result with its snapshot.

    Versions and matrix-product backends may always differ. On the same hardware, every figure and
    every query's outcome by each score must be the same. On other hardware, a few outcomes may
    differ without a direction, and with them the figures counted from them.
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

    def matches(self, *, serialized_data: object, snapshot_data: object) -> bool:
        """Return whether the result counts as equal to the snapshot."""
        measured, recorded = _load(serialized_data), _load(snapshot_data)
        hardware, recorded_hardware = _hardware(measured), _hardware(recorded)
        measured, recorded = _without_products(measured), _without_products(recorded)
        # A snapshot that is older than a score does not have it.
        unknown = [by for by in OTHERS if by not in recorded]
        measured = _without(measured, *unknown)
        if hardware == recorded_hardware:
            return _without(measured, "environment") == _without(recorded, "environment")
        free = ("environment", *_OF_A_SCORE, *OTHERS)
        return _without(measured, *free) == _without(recorded, *free) and all(
            _alike(ours, theirs, measured.get("sequences"))
            for ours, theirs in zip(_by_score(measured), _by_score(recorded), strict=True)
        )


def _load(text: object) -> dict[str, object]:
    data = json.loads(text) if isinstance(text, str | bytes) else {}
    return data if isinstance(data, dict) else {"value": data}


def _hardware(document: dict[str, object]) -> object:
    """Return what rounding depends on: the hardware class and the number of threads."""
    environment = document.get("environment")
    hardware = environment.get("hardware") if isinstance(environment, dict) else None
    if not isinstance(hardware, dict):
        return None
    return hardware.get("hardware_class"), hardware.get("threads")


def _without_products(document: dict[str, object]) -> dict[str, object]:
    """Return the document without matmul backends, which depend on processor, memory and torch."""
    compositions = document.get("compositions")
    if not isinstance(compositions, list):
        return document
    stripped = [_without(entry, "products") for entry in compositions if isinstance(entry, dict)]
    complete = len(stripped) == len(compositions)
    return {**document, "compositions": stripped} if complete else document


def _without(document: dict[str, object], *names: str) -> dict[str, object]:
    return {name: value for name, value in document.items() if name not in names}


def _by_score(document: dict[str, object]) -> list[dict[str, object]]:
    """Return the document's part of each score, the main one first."""
    others = (document.get(by, {}) for by in OTHERS)
    return [document, *(part if isinstance(part, dict) else {} for part in others)]


def _alike(measured: dict[str, object], recorded: dict[str, object], sequences: object) -> bool:
    """Return whether the outcomes by one score agree, and the counts are those of the outcomes."""
    return (
        _totals(measured) == _totals(recorded)
        and _counts_its_outcomes(measured)
        and _close(measured.get("outcomes"), recorded.get("outcomes"), sequences)
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


def _close(measured: object, recorded: object, sequences: object) -> bool:
    """Return whether two lists of outcomes, one string of 0 and 1 per state, agree.

    Few may differ, and with sequences as clusters they must not differ in one direction.
    """
    if not isinstance(measured, list) or not isinstance(recorded, list):
        return measured == recorded
    if [len(state) for state in measured] != [len(state) for state in recorded]:
        return False
    pairs = list(zip("".join(measured), "".join(recorded), strict=True))
    if sum(a != b for a, b in pairs) > OTHER_HARDWARE_FLIPS * len(pairs):
        return False
    if not isinstance(sequences, list) or len(sequences) != len(measured):
        return False
    return _p_value(measured, recorded, sequences) >= RECORD_LEVEL


def _p_value(measured: list[str], recorded: list[str], sequences: list[int]) -> float:
    """Return the two-sided p-value of "the outcomes differ in one direction"."""
    gains = Counter[int]()
    for sequence, ours, theirs in zip(sequences, measured, recorded, strict=True):
        gains[sequence] += ours.count("1") - theirs.count("1")
    return sign_flip_test(np.array(list(gains.values())), fresh_rng())[1]
