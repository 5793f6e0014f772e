"""The ``speed`` command with fake engines."""

import json
from pathlib import Path
from subprocess import CompletedProcess
from types import SimpleNamespace

import pytest

from benchmark.speed import engine_pool
from fakes import fake_engines
from fakes.command_line import command_line

MODEL = Path(__file__).parents[2] / "fixtures" / "models" / "copy-a"


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Replace engine processes with fakes, one of which has different answers."""
    fake: SimpleNamespace = fake_engines.FakeEngines()
    fake.odd = {"speculative:bf16": 9, "speculative:bfloat16": 9}
    monkeypatch.setattr(engine_pool, "EngineProcess", fake.process)
    return fake


def _speed(*more: str | Path) -> CompletedProcess[str]:
    common = ("--model", MODEL, "--states", "3", "--repeats", "2", "--dtype", "float32")
    engines = "outlines,speculative,speculative:bfloat16"
    return command_line("speed", *common, "--engines", engines, *more)


def test_table_margins_and_file(engines: SimpleNamespace, tmp_path: Path) -> None:
    """The output has one row per engine within 80 columns, and differences; JSON has all."""
    out = tmp_path / "new" / "speed.json"
    result = _speed("--verify", "--json-file", out)
    assert result.returncode == 0
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].strip() == "copy-a, 3 states"
    rows = {line.split()[0]: line.split() for line in lines if line.startswith((" spec", " outl"))}
    assert len(rows) == 3
    assert "3/3" in rows["speculative"]
    assert "0/3" in rows["speculative:bf16"]
    assert "speculative: all of 3 answers are the paper's method's" in result.stdout
    assert "3 of these 3 answers are certified" in result.stdout
    document = json.loads(out.read_text())
    assert [len(one["rounds"]) for one in document["engines"]] == [2, 2, 2]
    assert [len(one["partings"]) for one in document["engines"]] == [0, 0, 3]
    assert document["stopped"] is False


def test_ctrl_c_exit_code(engines: SimpleNamespace, tmp_path: Path) -> None:
    """Ctrl-C exits with 130; finished rounds are printed and written, marked as stopped."""
    engines.fault = lambda label, what, before: (
        KeyboardInterrupt() if (label, what, before) == ("speculative", "measure", 2) else None
    )
    out = tmp_path / "speed.json"
    result = _speed("--json-file", out)
    assert result.returncode == 130
    assert "stopped: these are the rounds that were finished" in result.stdout
    assert json.loads(out.read_text())["stopped"] is True


def test_unwritable_file_is_refused_first(engines: SimpleNamespace, tmp_path: Path) -> None:
    """It is one line and exit code 2, before anything is measured."""
    result = _speed("--json-file", tmp_path)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert "a folder; name a file" in result.stderr
    assert engines.log == []
