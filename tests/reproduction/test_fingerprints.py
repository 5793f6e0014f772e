"""Every stage of a control model's run is what it was: the alarm that names where a shift began."""

from collections.abc import Callable
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from benchmark.pipeline import DataRequest, RunRequest
from benchmark.pipeline.fingerprint import FingerprintRequest, fingerprint
from benchmark.pytest_plugin import Quiet
from benchmark.regression.record import Record

MODEL = Path(__file__).parents[2] / "fixtures" / "models" / "track"
STATES = 16
REPEATS = 4


def test_track_goes_the_recorded_way(
    fingerprints: Callable[[Record], SnapshotAssertion], pytestconfig: pytest.Config
) -> None:
    """Nothing from data to verdict moved beyond noise; the floor is measured when blessed."""
    run = RunRequest(str(MODEL), Path(), DataRequest(seed=0, states=STATES), device="cpu")
    repeats = REPEATS if pytestconfig.getoption("--snapshot-update") else 0
    record = fingerprint(FingerprintRequest(run, repeats=repeats), Quiet())
    assert record == fingerprints(record)
