"""Every stage of a model's run is what it was: the alarm that names where a shift began."""

from collections.abc import Callable
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from benchmark.fingerprints.record import Fingerprint
from benchmark.fingerprints.record_run import FingerprintRequest, fingerprint
from benchmark.models.registry import load_registry
from benchmark.models.registry_types import RegisteredModel
from benchmark.pytest_plugin import REPEATS, Trace
from benchmark.pytest_plugin.snapshots.fingerprints import Blessing
from benchmark.runs.requests import DataRequest, Quiet, RunRequest

MODELS = Path(__file__).parents[2] / "fixtures" / "models"
STATES = 16


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A case a model of a registered pair, and of the user's own."""
    if "model" in metafunc.fixturenames:
        known = load_registry(metafunc.config.getoption("--registry"))
        paired = {key for pair in known.pairs.values() for key in (pair.base, pair.variant)}
        metafunc.parametrize(
            "model", [known.models[key] for key in sorted(paired)], ids=sorted(paired)
        )


@pytest.mark.parametrize(
    ("control", "engine"),
    [("track", "outlines"), ("track", None), ("copy-a", None), ("copy-b", None)],
    ids=["track-outlines", "track-default", "copy-a-default", "copy-b-default"],
)
def test_controls_go_the_recorded_way(
    control: str,
    engine: str | None,
    fingerprints: Callable[[Fingerprint], SnapshotAssertion],
    blessing: Blessing,
) -> None:
    """Nothing from data to verdict moved beyond noise; the floor is measured when blessed."""
    data = DataRequest(seed=0, states=STATES)
    run = RunRequest(str(MODELS / control), Path(), data, engine=engine, device="cpu")
    repeats = REPEATS if blessing.updating else 0
    record = fingerprint(FingerprintRequest(run, repeats=repeats), Quiet())
    assert record == fingerprints(record)


@pytest.mark.gpu
@pytest.mark.filterwarnings("default")  # a library's warning must not end hours of measuring
def test_models_go_the_recorded_way(
    model: RegisteredModel, trace: Trace, fingerprints: Callable[[Fingerprint], SnapshotAssertion]
) -> None:
    """Every model that is reproduced has, beside its scores, a fingerprint that names the stage."""
    record = trace(model)
    assert record == fingerprints(record)
