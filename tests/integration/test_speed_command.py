"""``speed`` as a user meets it, with engines that are none."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from types import ModuleType, SimpleNamespace

import pytest

from benchmark.speed import engine_pool as field

MODEL = Path(__file__).parents[2] / "fixtures" / "models" / "copy-a"

Command = Callable[..., CompletedProcess[str]]


@pytest.fixture
def engines(fakes: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Fake engines in the place of processes, of which one answers otherwise."""
    made: SimpleNamespace = fakes("fake_engines").FakeEngines()
    made.odd = {"speculative:bf16": 9, "speculative:bfloat16": 9}
    monkeypatch.setattr(field, "EngineProcess", made.process)
    return made


def _speed(command_line: Command, *more: str | Path) -> CompletedProcess[str]:
    given = ("--model", MODEL, "--states", "3", "--repeats", "2", "--dtype", "float32")
    engines = "outlines,speculative,speculative:bfloat16"
    return command_line("speed", *given, "--engines", engines, *more)


def test_table_margins_and_file(
    command_line: Command, engines: SimpleNamespace, tmp_path: Path
) -> None:
    """A row an engine within 80 columns, the limit, what differs, and all of it as JSON."""
    out = tmp_path / "new" / "speed.json"
    done = _speed(command_line, "--verify", "--json", out)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].strip() == "copy-a, 3 states"
    rows = {line.split()[0]: line.split() for line in lines if line.startswith((" spec", " outl"))}
    assert len(rows) == 3
    assert "3/3" in rows["speculative"]
    assert "0/3" in rows["speculative:bf16"]
    assert "speculative: all of 3 answers are the paper's method's" in done.stdout
    document = json.loads(out.read_text())
    assert [len(each["rounds"]) for each in document["engines"]] == [2, 2, 2]
    assert [len(each["partings"]) for each in document["engines"]] == [0, 0, 3]
    assert document["stopped"] is False


def test_a_stop_has_an_exit_status_of_its_own(
    command_line: Command, engines: SimpleNamespace, tmp_path: Path
) -> None:
    """The finished rounds are printed and written, and it says that it was stopped."""
    engines.fault = lambda label, what, before: (
        KeyboardInterrupt() if (label, what, before) == ("speculative", "measure", 2) else None
    )
    out = tmp_path / "speed.json"
    done = _speed(command_line, "--json", out)
    assert done.returncode == 130
    assert "stopped: these are the rounds that were finished" in done.stdout
    assert json.loads(out.read_text())["stopped"] is True


def test_a_file_that_cannot_be_written_is_said_first(
    command_line: Command, engines: SimpleNamespace, tmp_path: Path
) -> None:
    """Before anything is measured: one line, exit status 2."""
    done = _speed(command_line, "--json", tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "a folder; name a file" in done.stderr
    assert engines.log == []
