"""Fingerprints of the controls and of registered models equal the recorded ones."""

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
    """Make one case per model of a registered pair or of the user's own."""
    if "model" in metafunc.fixturenames:
        registry = load_registry(metafunc.config.getoption("--registry"))
        paired = {key for pair in registry.pairs.values() for key in (pair.base, pair.variant)}
        metafunc.parametrize(
            "model", [registry.models[key] for key in sorted(paired)], ids=sorted(paired)
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
    """No stage changed beyond noise; the noise floor is measured when a fingerprint is blessed."""
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
    """Every reproduced model has a fingerprint, which names the first changed stage."""
    record = trace(model)
    assert record == fingerprints(record)
