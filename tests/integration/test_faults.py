"""Seeded faults are noticed at their stage and laid at the right door; no fault is no alarm."""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from benchmark.boxes.dataset import rows
from benchmark.models.hardware import on_threads
from benchmark.pipeline import DataRequest, RunRequest, load_states, surroundings
from benchmark.pipeline import fingerprint as pipeline
from benchmark.pipeline.fingerprint import FingerprintRequest, fingerprint
from benchmark.pytest_plugin import Quiet
from benchmark.regression.comparison import Comparison, Severity, compare
from benchmark.regression.environment import code_digests, versions
from benchmark.regression.record import Record

ROOT = Path(__file__).parents[2]
CATALOGUE = tomllib.loads((ROOT / "fixtures" / "faults.toml").read_text())
STATES = 4
FEW = 2
REPEATS = 100

INNOCENT = {
    "library": ("python", "numpy", "safetensors", "jinja2", "scipy", "outlines_core", "torch"),
    "code": ("cli/run.py", "report/table.py", "stats/paired.py", "models/memory.py"),
}
"""What changed as well, and has nothing to do with any fault but its own."""

Injector = Callable[[pytest.MonkeyPatch, RunRequest, Path], RunRequest]


@dataclass(frozen=True)
class Baseline:
    """A run without a fault, and its record with the noise floor."""

    run: RunRequest
    record: Record


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few states in a file, so that they are not drawn anew for every record."""
    path = tmp_path_factory.mktemp("data") / "states.jsonl"
    states = load_states(DataRequest(seed=0, states=STATES))
    path.write_text("".join(f"{row}\n" for state in states for row in rows(state)))
    return path


@pytest.fixture(scope="module")
def baseline(data: Path) -> Baseline:
    """A control model that has much wrong, by outlines' own engine."""
    return _baseline(data, STATES, "outlines")


def _baseline(data: Path, states: int, engine: str) -> Baseline:
    run = RunRequest(
        model=str(ROOT / "fixtures" / "models" / "copy-a"),
        out=Path(),
        data=DataRequest(data, states=states),
        engine=engine,
        device="cpu",
        batch_size=states,
    )
    return Baseline(run, fingerprint(FingerprintRequest(run, repeats=1), Quiet()))


@pytest.mark.parametrize("name", CATALOGUE)
def test_faults_are_noticed_where_they_are(
    name: str,
    baseline: Baseline,
    fault: Callable[[str], Injector],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The fault is noticed, its stage is the earliest, and its cause is the first suspect."""
    expected = CATALOGUE[name]
    kind, _, cause = expected["cause"].partition(" ")
    _say_changed(monkeypatch, kind, cause)
    run = fault(expected["inject"])(monkeypatch, baseline.run, tmp_path)
    found = _compared(baseline, run)
    assert found.severity in expected["severity"].split(" or ")
    assert found.stage == expected["stage"]
    assert bool(found.failed) == expected.get("fails", False)
    assert (found.suspects[0].kind, found.suspects[0].name) == (kind, cause)
    assert found.suspects[0].changed
    assert found.exit_status not in {0, 1, 2}


def test_no_fault_is_no_alarm(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred repeats in other batches, orders and on other threads are never more than noise."""
    # Loaded once: what is asked is whether computing it again moves anything.
    for name in ("load_model", "load_tokenizer"):
        monkeypatch.setattr(pipeline, name, cache(getattr(pipeline, name)))
    baseline = _baseline(data, FEW, "speculative")
    rng = np.random.Generator(np.random.PCG64(5))
    alarms = []
    for number in range(REPEATS):
        run = replace(baseline.run, batch_size=1 + number % FEW)
        order = rng.permutation(FEW).tolist()
        with on_threads(2 if number % 50 == 0 else 1):
            found = _compared(baseline, run, order)
        if found.severity not in {Severity.SAME, Severity.NOISE}:
            alarms.append((number, order, found.as_json()))
    assert not alarms


def test_the_same_again_is_the_same(baseline: Baseline) -> None:
    """Recording again under the same settings gives the same record, and exit status 0."""
    found = _compared(baseline, baseline.run)
    assert (found.severity, found.stage, found.exit_status) == (Severity.SAME, None, 0)


def _compared(baseline: Baseline, run: RunRequest, order: list[int] | None = None) -> Comparison:
    request = FingerprintRequest(run, along=baseline.record, order=order)
    return compare(baseline.record, fingerprint(request, Quiet()))


def _say_changed(patch: pytest.MonkeyPatch, kind: str, cause: str) -> None:
    """Let the environment say that the cause changed, and some innocents with it."""
    libraries, code = versions(), code_digests()
    if kind == "library":
        changed = dict.fromkeys((cause, *INNOCENT["library"]), "999")
        patch.setattr(surroundings, "versions", lambda: libraries | changed)
    if kind == "code":
        changed = dict.fromkeys((cause, *INNOCENT["code"]), "another")
        patch.setattr(pipeline, "code_digests", lambda: code | changed)
