"""When a result counts as equal to its snapshot."""

import copy
import json
from typing import Any

import pytest

from benchmark.errors import DataError
from benchmark.pytest_plugin.snapshots.extension import MeasurementExtension

RECORDED: dict[str, Any] = {
    "overall": {"correct": 90, "total": 210},
    "outcomes": ["1010100"] * 30,
    "sequences": [n // 2 for n in range(30)],
    "data": {"sha256": "a"},
    "environment": {"hardware": {"hardware_class": "x", "threads": 2}, "versions": {"torch": "1"}},
}


def _matches(measured: object, recorded: object) -> bool:
    return MeasurementExtension().matches(
        serialized_data=json.dumps(measured), snapshot_data=json.dumps(recorded)
    )


EXACT = {"overall": {"correct": 60, "total": 210}, "outcomes": ["1010000"] * 30}
BOTH = {**RECORDED, "exact": EXACT}


@pytest.fixture
def measured() -> dict[str, Any]:
    """A result equal to the recorded one, which a test may change."""
    return copy.deepcopy(RECORDED)


def test_equal_result_matches(measured: dict[str, Any]) -> None:
    """An equal result passes."""
    assert _matches(measured, RECORDED)


def test_versions_may_differ(measured: dict[str, Any]) -> None:
    """An upgrade that changes no result passes."""
    measured["environment"]["versions"]["torch"] = "2"
    assert _matches(measured, RECORDED)


def test_one_outcome_fails_on_the_same_hardware(measured: dict[str, Any]) -> None:
    """On the same hardware a single different outcome fails."""
    measured["environment"]["versions"]["torch"] = "2"
    measured["outcomes"][3] = "1010101"
    assert not _matches(measured, RECORDED)


def test_a_few_outcomes_may_differ_on_other_hardware(measured: dict[str, Any]) -> None:
    """On other hardware 1 % of the outcomes, and what is counted from them, may differ."""
    measured["environment"]["hardware"]["threads"] = 8
    measured["overall"]["correct"] = 92
    measured["outcomes"][3:5] = ["1010101", "1010101"]
    assert _matches(measured, RECORDED)
    measured["overall"]["correct"] = 93
    measured["outcomes"][5] = "1010101"
    assert not _matches(measured, RECORDED)


@pytest.mark.parametrize(("lost", "gained", "matches"), [(12, 0, False), (6, 6, True)])
def test_changed_outcomes_must_not_have_a_direction(
    lost: int,
    gained: int,
    matches: bool,  # noqa: FBT001
) -> None:
    """On other hardware 0.9 % of outcomes may change, but not all from correct to wrong."""
    recorded = {**RECORDED, "outcomes": ["1010100"] * 200, "sequences": list(range(200))}
    recorded["overall"] = {"correct": 600, "total": 1400}
    measured = copy.deepcopy(recorded)
    measured["environment"]["hardware"]["threads"] = 8
    measured["outcomes"][: lost + gained] = ["1010000"] * lost + ["1010110"] * gained
    measured["overall"]["correct"] += gained - lost
    assert _matches(measured, recorded) is matches


def test_a_group_of_numops_has_its_own_limit() -> None:
    """On other hardware the queries of one numops may not flip, few as they are of all."""
    numops = ["1" * 7] * 190 + ["5" * 7] * 10
    recorded = {**RECORDED, "outcomes": ["1010100"] * 200, "sequences": list(range(200))}
    recorded |= {"numops": numops, "overall": {"correct": 600, "total": 1400}}
    measured = copy.deepcopy(recorded)
    measured["environment"]["hardware"]["threads"] = 8
    measured["outcomes"][:12] = ["1010000"] * 6 + ["1010110"] * 6
    assert _matches(measured, recorded)
    measured["outcomes"] = [*recorded["outcomes"][:190], *["1010000"] * 5, *["1010110"] * 5]
    assert not _matches(measured, recorded)


def test_damaged_snapshot_is_an_error(measured: dict[str, Any]) -> None:
    """It is one line, and no traceback of the JSON library."""
    with pytest.raises(DataError, match=r"^the snapshot or the result: not JSON"):
        MeasurementExtension().matches(serialized_data=json.dumps(measured), snapshot_data="{")


@pytest.mark.parametrize("name", ["correct", "total"])
def test_counts_match_the_outcomes_on_other_hardware(measured: dict[str, Any], name: str) -> None:
    """The number of queries is fixed, and the correct ones are counted from the outcomes."""
    measured["environment"]["hardware"]["threads"] = 8
    assert _matches(measured, RECORDED)
    measured["overall"][name] += 1
    assert not _matches(measured, RECORDED)


def test_an_outcome_by_exact_alone_is_an_alarm() -> None:
    """On the same hardware none may change; on other hardware 1 % of them by each score."""
    measured = copy.deepcopy(BOTH)
    assert _matches(measured, BOTH)
    measured["exact"]["outcomes"][0] = "1000000"
    measured["exact"]["overall"]["correct"] = 59
    assert not _matches(measured, BOTH)
    measured["environment"]["hardware"]["threads"] = 8
    assert _matches(measured, BOTH)
    measured["exact"]["overall"]["correct"] = 60
    assert not _matches(measured, BOTH)
    measured["exact"] = {"overall": {"correct": 57, "total": 210}}
    measured["exact"]["outcomes"] = ["1000000"] * 3 + ["1010000"] * 27
    assert not _matches(measured, BOTH)


def test_snapshot_without_exact() -> None:
    """It does not restrict that score; a snapshot with it needs a result with it."""
    measured = copy.deepcopy(BOTH)
    assert _matches(measured, RECORDED)
    assert not _matches(RECORDED, BOTH)
    measured["environment"]["hardware"]["threads"] = 8
    assert _matches(measured, RECORDED)


def test_other_data_never_match(measured: dict[str, Any]) -> None:
    """Entries that are not outcomes or counts are equal on any hardware."""
    measured["environment"]["hardware"]["threads"] = 8
    measured["data"]["sha256"] = "b"
    assert not _matches(measured, RECORDED)


def test_fewer_states_never_match(measured: dict[str, Any]) -> None:
    """Outcomes of different numbers of states are not compared."""
    measured["environment"]["hardware"]["threads"] = 8
    measured["outcomes"].pop()
    assert not _matches(measured, RECORDED)


def test_missing_snapshot_does_not_match(measured: dict[str, Any]) -> None:
    """Without a snapshot nothing passes."""
    assert not MeasurementExtension().matches(
        serialized_data=json.dumps(measured), snapshot_data=None
    )


def test_what_the_processor_decides_may_differ(measured: dict[str, Any]) -> None:
    """Matrix products and costs of a pass; the rest of a composition is compared."""
    recorded = {
        **RECORDED,
        "compositions": [{"order": "sorted", "products": "MKL", "pace": {"fixed": 12}}],
    }
    measured["compositions"] = [{"order": "sorted", "products": "oneDNN", "pace": {"fixed": 9}}]
    assert _matches(measured, recorded)
    measured["compositions"] = [{"order": "shuffled", "products": "MKL"}]
    assert not _matches(measured, recorded)
