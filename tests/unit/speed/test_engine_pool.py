"""The engine pool, and what it keeps when an engine fails."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmark.errors import BenchmarkError, MissingLibraryError
from benchmark.speed import engine_pool
from benchmark.speed.engine_pool import EnginePool, MatmulLimits, SpeedInputs
from benchmark.speed.figures import Measurement
from benchmark.speed.specs import parse

PROMPTS = [(1, 2, 3), (1, 2, 4), (1, 5, 5, 5)]


@pytest.fixture
def inputs() -> SpeedInputs:
    """Three prompts."""
    return SpeedInputs(
        model="model",
        gguf=None,
        digest="sha256:0",
        device="cpu",
        max_new_tokens=9,
        expression="a*",
        grammar="root ::= [a]*",
        stops=(0,),
        prompts=PROMPTS * 6,
        expected=[(7,)] * 18,
    )


def _measured(spec: str, states: range = range(18)) -> Measurement:
    return Measurement(parse(spec, "float32", 4)[0], states)


def test_the_best_batch_size_is_found(inputs: SpeedInputs, engines: SimpleNamespace) -> None:
    """The fastest of the batch sizes up to the number of states is chosen."""
    engines.seconds = lambda label, size: abs(size - 15) + 1.0
    pool, measured = EnginePool(inputs), _measured("speculative@best")
    pool.open(measured)
    lines = list(pool.find_best(measured))
    assert measured.seconds_by_batch_size == {8: 8.0, 16: 2.0}
    assert (measured.spec.batch_size, measured.spec.best) == (16, False)
    assert lines[1] == "speculative@best: 2.000 seconds per state in batches of 16"


def test_failing_size_ends_the_search_only(inputs: SpeedInputs, engines: SimpleNamespace) -> None:
    """Smaller sizes count; the process, which the failure ended, is opened again."""
    full = BenchmarkError("out of memory")
    # The first request is made by opening.
    engines.fault = lambda label, what, before: full if (what, before) == ("measure", 2) else None
    pool, measured = EnginePool(inputs), _measured("speculative@best")
    pool.open(measured)
    lines = list(pool.find_best(measured))
    assert lines[-1] == "speculative@best: batches of 16 failed: out of memory"
    assert (measured.spec.batch_size, measured.failure) == (8, None)
    pool.run_round(measured)
    assert len(measured.rounds) == 1
    pool.close()
    assert engines.open == []


def test_no_size_works(inputs: SpeedInputs, engines: SimpleNamespace) -> None:
    """An engine that fails at the smallest size is not measured and has the reason."""
    engines.fault = lambda label, what, before: (
        BenchmarkError("no room") if what == "measure" and before else None
    )
    pool, measured = EnginePool(inputs), _measured("speculative@best")
    pool.open(measured)
    assert len(list(pool.find_best(measured))) == 1
    assert measured.failure == "no room"


def test_failed_round_keeps_earlier_rounds(inputs: SpeedInputs, engines: SimpleNamespace) -> None:
    """The engine is not run again, and the reason is recorded with its rounds."""
    engines.fault = lambda label, what, before: (
        BenchmarkError("gone") if (what, before) == ("measure", 2) else None
    )
    pool, measured = EnginePool(inputs), _measured("outlines@2", range(2))
    pool.open(measured)
    for _ in range(4):
        pool.run_round(measured)
    assert (len(measured.rounds), measured.failure) == (1, "gone")
    assert measured.answers == {0: [3, 2, 1], 1: [4, 2, 1]}


def test_engine_without_its_model_format(
    inputs: SpeedInputs, engines: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """llama.cpp fails before a process starts if it is not installed or has no GGUF file."""
    missing = _measured("llama.cpp")
    EnginePool(inputs, Path("nowhere")).open(missing)
    assert "not installed; run: make speed-engines" in str(missing.failure)
    monkeypatch.setattr(engine_pool, "launch_command", lambda label, traits, folder: ([], {}))
    pool, measured = EnginePool(inputs), _measured("llama.cpp")
    pool.open(measured)
    assert "needs a GGUF file" in str(measured.failure)
    assert engines.log == []


def test_vllm_on_gpus(
    inputs: SpeedInputs, engines: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build for GPUs runs on those of the device; one for CPUs does not, and says so."""
    there = replace(inputs, device="cuda:1,3")
    opened = []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    monkeypatch.setattr(engine_pool, "launch_command", lambda *_: ([], {"OTHER": "1"}))
    monkeypatch.setattr(engine_pool, "tensor_parallel", lambda *_: 2)
    monkeypatch.setattr(engine_pool, "EngineProcess", lambda *words: opened.append(words))
    monkeypatch.setattr(engine_pool, "is_cpu_only", lambda *_: False)
    EnginePool(there).process(parse("vllm", "float32", 4)[0])
    (((_, _, environment, setup)),) = opened
    assert environment == {"OTHER": "1", "CUDA_VISIBLE_DEVICES": "5,7"}
    assert (setup["device"], setup["tuned"]) == ("cuda:1,3", {"tensor_parallel_size": 2})
    monkeypatch.setattr(engine_pool, "is_cpu_only", lambda *_: True)
    with pytest.raises(MissingLibraryError, match="vllm: runs on the CPU only; use --device cpu"):
        EnginePool(there).process(parse("vllm", "float32", 4)[0])
    EnginePool(inputs).process(parse("vllm", "float32", 4)[0])
    assert "kv_cache_memory_bytes" in opened[1][-1]["tuned"]


def test_interrupted_limit_keeps_its_rounds(inputs: SpeedInputs, engines: SimpleNamespace) -> None:
    """Its process is ended with its pending reply; the next measurement opens another."""
    engines.fault = lambda label, what, before: (
        KeyboardInterrupt() if (what, before) == ("limit", 1) else None
    )
    limits = MatmulLimits(inputs)
    limits.measure("float32")
    with pytest.raises(KeyboardInterrupt):
        limits.measure("float32")
    assert engines.open == []
    limits.measure("float32", [[1]])
    assert [reply["choices"] for reply in limits.rounds["float32"]] == [0.0, 1.0]
    assert engines.log.count(("limit (float32)", "open")) == 2
    limits.close()
    assert engines.open == []
