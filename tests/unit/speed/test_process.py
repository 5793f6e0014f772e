"""An engine's process and the pipe to it, with a small engine in the place of a real one."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.speed.messages import Setup, Work
from benchmark.speed.process import EngineProcess, EngineProcessError

SETUP: Setup = {
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
WORK: Work = {"batch_size": 2, "prompts": [[1, 2], [3]], "expected": []}
ENGINE = """
import os
from benchmark.speed.serving import serve

def create(setup):
    print("this goes to stderr")
    if setup["model"] == "broken":
        raise ValueError("no such\\n weights")
    rounds = []
    def work(asked):
        print("so does this")
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
    root = str(Path(__file__).parents[3])

    def start(model: str = "none") -> EngineProcess:
        setup: Setup = {**SETUP, "model": model}
        command = [sys.executable, str(script)]
        return EngineProcess("fake", command, {"PYTHONPATH": root}, setup)

    return start


def test_an_engine_is_asked_and_answers(open_engine: Open) -> None:
    """What it gives comes back with its peak memory, whatever it prints meanwhile."""
    with open_engine() as engine:
        taken = engine.measure(WORK)
    assert taken["answers"] == [[2, 1], [3]]
    assert 50_000_000 < taken["peak_memory"] < 500_000_000


def test_a_round_that_fails_is_one_line_and_the_process_stays(open_engine: Open) -> None:
    """An engine's own error is told by name; the death of its process with the exit code."""
    with open_engine() as engine:
        engine.measure(WORK)
        with pytest.raises(EngineProcessError, match=r"fake: KeyError: 'second'"):
            engine.measure(WORK)
        with pytest.raises(EngineProcessError, match=r"ended with code 7.*so does this"):
            engine.measure(WORK)


def test_an_engine_that_does_not_open(open_engine: Open) -> None:
    """Its reason is told in one line."""
    with pytest.raises(EngineProcessError, match=r"^fake: ValueError: no such weights$"):
        open_engine("broken")


def test_a_killed_engine_is_gone(open_engine: Open) -> None:
    """After it was killed it cannot be asked, and closing it again does no harm."""
    engine = open_engine()
    engine.kill()
    with pytest.raises((EngineProcessError, ValueError)):
        engine.measure(WORK)
    engine.close()
