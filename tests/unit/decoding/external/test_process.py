"""An engine's process and the pipe to it, with a small script as the engine."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.decoding.external.messages import DecodeRequest, EngineSetup
from benchmark.decoding.external.process import (
    EngineImportError,
    EngineProcess,
    EngineProcessError,
)
from benchmark.errors import RefusedModelError
from benchmark.fingerprints.digests import IMPORT_FAILURE
from benchmark.fingerprints.stage_recorder import line

SETUP: EngineSetup = {
    "engine": "fake",
    "row": {"name": ""},
    "model": "none",
    "dtype": "float32",
    "device": "cpu",
    "max_new_tokens": 4,
    "max_model_len": 8,
    "expression": ".*",
    "grammar": "",
    "stops": [0],
    "tuned": {},
}
WORK: DecodeRequest = {
    "batch_size": 2,
    "states": [0, 1],
    "prompts": [[1, 2], [3]],
    "expected": [],
}
ENGINE = """
import os
from benchmark.decoding.external.serving import serve

def create(setup):
    print("this goes to stderr")
    if setup["model"] == "broken":
        raise ValueError("no such\\n weights")
    if setup["model"] == "without a library":
        import no_such_library_anywhere
    if setup["model"] == "refused":
        from benchmark.errors import RefusedModelError
        raise RefusedModelError("m: its weights are not finite")
    rounds = []
    def streamed(prompts):
        for index, ids in enumerate(prompts):
            if not ids:
                raise ValueError("an empty prompt")
            yield {"index": index, "token_ids": ids[::-1], "finished": True}
    def work(asked):
        print("so does this")
        if "stream" in asked:
            return streamed(asked["stream"])
        rounds.append(asked)
        if len(rounds) == 3:
            os._exit(7)
        if len(rounds) == 2:
            raise KeyError("second")
        held = bytearray(50_000_000)
        for place in range(0, len(held), 4096):
            held[place] = 1
        return {"seconds": 1.0, "processor": 1.0, "passes": 1, "tokens": None,
                "answers": [ids[::-1] for ids in asked["prompts"]]}
    return work

serve(create)
"""
Open = Callable[..., EngineProcess]


@pytest.fixture
def open_engine(tmp_path: Path) -> Open:
    """Start the small engine with this setup."""
    script = tmp_path / "engine.py"
    script.write_text(ENGINE)
    root = str(Path(__file__).parents[4])

    def start(model: str = "none") -> EngineProcess:
        setup: EngineSetup = {**SETUP, "model": model}
        command = [sys.executable, str(script)]
        return EngineProcess("fake", command, {"PYTHONPATH": root}, setup)

    return start


def test_request_and_reply(open_engine: Open) -> None:
    """A reply has the answers and the peak memory, even if the engine prints to stdout."""
    with open_engine() as engine:
        reply = engine.measure(WORK)
    assert reply["answers"] == [[2, 1], [3]]
    assert 50_000_000 < reply["peak_memory"] < 500_000_000


def test_streamed_answers(open_engine: Open) -> None:
    """Each answer comes by itself; those before a failure are not lost."""
    with open_engine() as engine:
        expected = [{"index": 0, "token_ids": [2, 1], "finished": True}]
        assert list(engine.stream([[1, 2]])) == expected
        answers = engine.stream([[1, 2], []])
        assert next(answers) == expected[0]
        with pytest.raises(EngineProcessError, match="fake: ValueError: an empty prompt"):
            next(answers)


def test_failed_round(open_engine: Open) -> None:
    """An error keeps the process and is one line; a process that ends is reported with its code."""
    with open_engine() as engine:
        engine.measure(WORK)
        with pytest.raises(EngineProcessError, match=r"fake: KeyError: 'second'"):
            engine.measure(WORK)
        with pytest.raises(EngineProcessError, match=r"ended with code 7.*so does this"):
            engine.measure(WORK)


def test_engine_that_does_not_open(open_engine: Open) -> None:
    """The reason is reported in one line."""
    with pytest.raises(EngineProcessError, match=r"^fake: ValueError: no such weights$"):
        open_engine("broken")


def test_engine_whose_library_cannot_be_imported(open_engine: Open) -> None:
    """Its release cannot run, which is no change of a stage."""
    with pytest.raises(EngineImportError, match="no_such_library_anywhere") as raised:
        open_engine("without a library")
    assert line(raised.value).startswith(IMPORT_FAILURE)


def test_refused_model(open_engine: Open) -> None:
    """A model that its checks refuse is told from an engine that fails."""
    with pytest.raises(RefusedModelError, match=r"^m: its weights are not finite$"):
        open_engine("refused")


def test_killed_engine(open_engine: Open) -> None:
    """It takes no requests, and closing it again does nothing."""
    engine = open_engine()
    engine.kill()
    with pytest.raises((EngineProcessError, ValueError)):
        engine.measure(WORK)
    engine.close()
