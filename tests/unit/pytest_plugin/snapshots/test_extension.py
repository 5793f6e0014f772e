"""When a result counts as the recorded one."""

import copy
import json
from typing import Any

import pytest

from benchmark.pytest_plugin.snapshots.extension import MeasurementExtension

RECORDED: dict[str, Any] = {
    "overall": {"correct": 45, "total": 105},
    "outcomes": ["1010100"] * 15,
    "data": {"sha256": "a"},
    "environment": {"hardware": {"hardware_class": "x", "threads": 2}, "versions": {"torch": "1"}},
}


def _matches(measured: object, recorded: object) -> bool:
    return MeasurementExtension().matches(
        serialized_data=json.dumps(measured), snapshot_data=json.dumps(recorded)
    )


EXACT = {"overall": {"correct": 30, "total": 105}, "outcomes": ["1010000"] * 15}
BOTH = {**RECORDED, "exact": EXACT}


@pytest.fixture
def measured() -> dict[str, Any]:
    """A result equal to the recorded one, free to change."""
    return copy.deepcopy(RECORDED)


def test_the_same_result_matches(measured: dict[str, Any]) -> None:
    """Nothing changed, nothing said."""
    assert _matches(measured, RECORDED)


def test_versions_may_differ(measured: dict[str, Any]) -> None:
    """An upgrade that changes no result is no alarm."""
    measured["environment"]["versions"]["torch"] = "2"
    assert _matches(measured, RECORDED)


def test_one_outcome_is_an_alarm_on_the_same_hardware(measured: dict[str, Any]) -> None:
    """On the same hardware one query that falls the other way does not match."""
    measured["environment"]["versions"]["torch"] = "2"
    measured["outcomes"][3] = "1010101"
    assert not _matches(measured, RECORDED)


def test_a_few_outcomes_may_differ_on_other_hardware(measured: dict[str, Any]) -> None:
    """On other hardware 2 % of the outcomes, and what is counted from them, may differ."""
    measured["environment"]["hardware"]["threads"] = 8
    measured["overall"]["correct"] = 47
    measured["outcomes"][3:5] = ["1010101", "1010101"]
    assert _matches(measured, RECORDED)
    measured["overall"]["correct"] = 48
    measured["outcomes"][5] = "1010101"
    assert not _matches(measured, RECORDED)


@pytest.mark.parametrize("name", ["correct", "total"])
def test_counts_must_be_those_of_the_outcomes_on_other_hardware(
    measured: dict[str, Any], name: str
) -> None:
    """On any hardware there are as many queries, and as many correct as the outcomes say."""
    measured["environment"]["hardware"]["threads"] = 8
    assert _matches(measured, RECORDED)
    measured["overall"][name] += 1
    assert not _matches(measured, RECORDED)


def test_an_outcome_by_exact_alone_is_an_alarm() -> None:
    """On the same hardware none may change; on other hardware 2 % of them by each score."""
    measured = copy.deepcopy(BOTH)
    assert _matches(measured, BOTH)
    measured["exact"]["outcomes"][0] = "1000000"
    measured["exact"]["overall"]["correct"] = 29
    assert not _matches(measured, BOTH)
    measured["environment"]["hardware"]["threads"] = 8
    assert _matches(measured, BOTH)
    measured["exact"]["overall"]["correct"] = 30
    assert not _matches(measured, BOTH)
    measured["exact"] = {"overall": {"correct": 27, "total": 105}}
    measured["exact"]["outcomes"] = ["1000000"] * 3 + ["1010000"] * 12
    assert not _matches(measured, BOTH)


def test_a_snapshot_without_exact_is_read() -> None:
    """It says nothing of that score, on any hardware; one that has it is not passed by less."""
    measured = copy.deepcopy(BOTH)
    assert _matches(measured, RECORDED)
    assert not _matches(RECORDED, BOTH)
    measured["environment"]["hardware"]["threads"] = 8
    assert _matches(measured, RECORDED)


def test_other_data_never_match(measured: dict[str, Any]) -> None:
    """What is not counted from outcomes must be the same on any hardware."""
    measured["environment"]["hardware"]["threads"] = 8
    measured["data"]["sha256"] = "b"
    assert not _matches(measured, RECORDED)


def test_fewer_states_never_match(measured: dict[str, Any]) -> None:
    """Outcomes of other states are not compared."""
    measured["environment"]["hardware"]["threads"] = 8
    measured["outcomes"].pop()
    assert not _matches(measured, RECORDED)


def test_no_snapshot_matches_nothing(measured: dict[str, Any]) -> None:
    """Where nothing is recorded, nothing matches."""
    assert not MeasurementExtension().matches(
        serialized_data=json.dumps(measured), snapshot_data=None
    )


def test_whatever_multiplied_matches(measured: dict[str, Any]) -> None:
    """Products are chosen by processor and library; the rest of a composition must be the same."""
    recorded = {**RECORDED, "compositions": [{"order": "sorted", "products": "MKL"}]}
    measured["compositions"] = [{"order": "sorted", "products": "oneDNN"}]
    assert _matches(measured, recorded)
    measured["compositions"] = [{"order": "shuffled", "products": "MKL"}]
    assert not _matches(measured, recorded)
