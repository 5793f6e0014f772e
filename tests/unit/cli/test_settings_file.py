"""``--settings FILE``: the options of a run from a TOML file."""

from pathlib import Path

import pytest

from benchmark.errors import SettingError
from benchmark.runs import measure
from benchmark.runs.requests import RunRequest
from fakes.command_line import command_line

TYPED = (
    *("--model", "m", "--out", "o", "--states", "8", "--seed", "3", "--engine", "outlines"),
    *("--prompt-format", "chat", "--batch-size", "4", "--task", "move-contents", "--set-aside"),
)
WRITTEN = """
model = "m"
out = "o"
states = 8
seed = 3
engine = "outlines"
prompt-format = "chat"
batch_size = 4
task = "move-contents"
set-aside = true
"""


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[RunRequest]:
    """The requests of ``run``, which measures nothing."""
    received = list[RunRequest]()

    def run(request: RunRequest, progress: object) -> None:
        received.append(request)
        raise SettingError("not measured")

    monkeypatch.setattr(measure, "run", run)
    return received


def _file(folder: Path, text: str) -> Path:
    path = folder / "settings.toml"
    path.write_text(text)
    return path


def test_file_is_as_if_typed(requests: list[RunRequest], tmp_path: Path) -> None:
    """The request is the same, so the identity that is recorded is the same too."""
    command_line("run", *TYPED)
    command_line("run", "--settings", _file(tmp_path, WRITTEN))
    typed, written = requests
    assert written == typed
    assert (written.data.states, written.batch_size, written.set_aside) == (8, 4, True)


def test_command_line_takes_precedence(requests: list[RunRequest], tmp_path: Path) -> None:
    """Before or after the file, and by an alias too."""
    path = _file(tmp_path, WRITTEN)
    command_line("run", "--settings", path, "--limit", "2", "--engine", "speculative")
    command_line("run", "--limit", "2", "--engine", "speculative", "--settings", path)
    for request in requests:
        assert (request.data.states, request.engine, request.batch_size) == (2, "speculative", 4)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("prompt-fromat = 'chat'", "no option 'prompt-fromat'; did you mean 'prompt-format'?"),
        ("zzz = 1", "no option 'zzz'; choose one of model, out, "),
        ("settings = 'x'", "no option 'settings'"),
        ("states = 1.5", "'--states'"),
        ("states = true", "states is true; give a number or text"),
        ("set-aside = 'yes'", "set-aside: must be true or false"),
        ("engine = ['a']", "engine: must be a number or text"),
        ("[run]\nstates = 1", "no option 'run'"),
        ("states = 1\nlimit = 2", "limit: the same option as states"),
        ("engine = 'x'", "'x' is not one of 'speculative'"),
        ("states = ", "not TOML"),
    ],
)
def test_mistakes_are_named(
    text: str, line: str, requests: list[RunRequest], tmp_path: Path
) -> None:
    """One line and exit code 2, as for a mistyped command."""
    path = _file(tmp_path, text)
    done = command_line("run", "--model", "m", "--out", "o", "--settings", path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert line in done.stderr
    assert not requests


def test_missing_file_is_named(tmp_path: Path) -> None:
    """As any other file that cannot be read."""
    done = command_line("run", "--settings", tmp_path / "none.toml")
    assert (done.returncode, "none.toml: cannot be read" in done.stderr) == (2, True)


def test_file_of_a_verb_with_arguments(tmp_path: Path) -> None:
    """Arguments are set by their names; other verbs have their own options."""
    path = _file(tmp_path, "base = 'a'\nvariant = 'b'\nengine = 'outlines'")
    done = command_line("pair", "--settings", path)
    assert "no option 'engine'" in done.stderr
