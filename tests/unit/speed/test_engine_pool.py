"""Opened engines: what is kept when one fails."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from benchmark.errors import BenchmarkError
from benchmark.speed import engine_pool as field
from benchmark.speed.engine_pool import EnginePool, MatmulLimits, SpeedInputs
from benchmark.speed.figures import Measurement
from benchmark.speed.specs import parse

PROMPTS = [(1, 2, 3), (1, 2, 4), (1, 5, 5, 5)]


@pytest.fixture
def material() -> SpeedInputs:
    """Three prompts."""
    return SpeedInputs(
        model="model",
        gguf=None,
        fingerprint="sha256:0",
        device="cpu",
        max_new_tokens=9,
        expression="a*",
        grammar="root ::= [a]*",
        stops=(0,),
        prompts=PROMPTS * 6,
        expected=[(7,)] * 18,
    )


@pytest.fixture
def engines(fakes: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Fake engines in the place of processes."""
    made: SimpleNamespace = fakes("fake_engines").FakeEngines()
    monkeypatch.setattr(field, "EngineProcess", made.process)
    return made


def _measured(spec: str, places: range = range(18)) -> Measurement:
    return Measurement(parse(spec, "float32", 4)[0], places)


def test_the_best_batch_size_is_found(material: SpeedInputs, engines: SimpleNamespace) -> None:
    """The quickest of those that fit the number of states."""
    engines.seconds = lambda label, size: abs(size - 15) + 1.0
    ours, measured = EnginePool(material), _measured("speculative@best")
    ours.open(measured)
    said = list(ours.find_best(measured))
    assert measured.tried == {8: 8.0, 16: 2.0}
    assert (measured.spec.batch_size, measured.spec.best) == (16, False)
    assert said[1] == "speculative@best: 2.000 seconds a state in batches of 16"


def test_a_size_that_fails_ends_the_search_and_not_the_engine(
    material: SpeedInputs, engines: SimpleNamespace
) -> None:
    """What was measured before counts; the process, which the failure ended, is opened again."""
    full = BenchmarkError("out of memory")
    # The first request is the one that opening makes.
    engines.fault = lambda label, what, before: full if (what, before) == ("measure", 2) else None
    ours, measured = EnginePool(material), _measured("speculative@best")
    ours.open(measured)
    said = list(ours.find_best(measured))
    assert said[-1] == "speculative@best: not in batches of 16: out of memory"
    assert (measured.spec.batch_size, measured.failure) == (8, None)
    ours.ask(measured)
    assert len(measured.rounds) == 1
    ours.close()
    assert engines.open == []


def test_where_no_size_goes_the_reason_is_told(
    material: SpeedInputs, engines: SimpleNamespace
) -> None:
    """An engine that fails at the smallest is not measured."""
    engines.fault = lambda label, what, before: (
        BenchmarkError("no room") if what == "measure" and before else None
    )
    ours, measured = EnginePool(material), _measured("speculative@best")
    ours.open(measured)
    assert len(list(ours.find_best(measured))) == 1
    assert measured.failure == "no room"


def test_a_failed_round_keeps_the_others(material: SpeedInputs, engines: SimpleNamespace) -> None:
    """Its engine is not asked again, and the reason stands beside what it did."""
    engines.fault = lambda label, what, before: (
        BenchmarkError("gone") if (what, before) == ("measure", 2) else None
    )
    ours, measured = EnginePool(material), _measured("outlines@2", range(2))
    ours.open(measured)
    for _ in range(4):
        ours.ask(measured)
    assert (len(measured.rounds), measured.failure) == (1, "gone")
    assert measured.answers == {0: [3, 2, 1], 1: [4, 2, 1]}


def test_an_engine_that_cannot_take_the_model(
    material: SpeedInputs, engines: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """llama.cpp without a GGUF file says so and starts no process; without itself as well."""
    missing = _measured("llama.cpp")
    EnginePool(material, Path("nowhere")).open(missing)
    assert "not installed; run: make speed-engines" in str(missing.failure)
    monkeypatch.setattr(field, "start", lambda spec, folder: ([], {}))
    ours, measured = EnginePool(material), _measured("llama.cpp")
    ours.open(measured)
    assert "takes GGUF files" in str(measured.failure)
    assert engines.log == []


def test_a_limit_that_is_ended_keeps_its_rounds(
    material: SpeedInputs, engines: SimpleNamespace
) -> None:
    """Its process is gone, with the reply that it owes; the next measurement has another."""
    engines.fault = lambda label, what, before: (
        KeyboardInterrupt() if (what, before) == ("limit", 1) else None
    )
    limits = MatmulLimits(material)
    limits.measure("float32")
    with pytest.raises(KeyboardInterrupt):
        limits.measure("float32")
    assert engines.open == []
    limits.measure("float32", [[1]])
    assert [taken["choices"] for taken in limits.rounds["float32"]] == [0.0, 1.0]
    assert engines.log.count(("limit (float32)", "open")) == 2
    limits.close()
    assert engines.open == []
