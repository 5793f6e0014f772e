"""The second process that confirms snapshots: its options, its interruption, and names of files."""

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from benchmark.pytest_plugin.options import check_options, deciding_options, pytest_addoption
from benchmark.pytest_plugin.snapshots import confirmation
from benchmark.pytest_plugin.snapshots.extension import MeasurementExtension


@pytest.fixture(autouse=True)
def nothing_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what this session wrote out of these tests."""
    monkeypatch.setattr(confirmation, "_written", {})


def test_paths_are_those_of_the_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second process runs in the project's root: relative paths are made absolute."""
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> SimpleNamespace:
        commands.append(command)
        error = b"a warning\nERROR: no such file\n"
        return SimpleNamespace(returncode=3, stdout=b"", stderr=error)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.chdir(tmp_path)
    options = {"--data": Path("states.jsonl"), "--states": 3}
    config: Any = SimpleNamespace(
        getoption=lambda name, _=None: options.get(name),
        option=SimpleNamespace(plugins=()),
        rootpath=tmp_path.parent,
    )
    session: Any = SimpleNamespace(config=config)
    why = "ended with exit status 3"
    assert confirmation._matched(session, []) == (set(), why, ["ERROR: no such file"])
    (command,) = commands
    assert command[command.index("--data") + 1] == str(tmp_path / "states.jsonl")
    assert command[command.index("--states") + 1] == "3"


def test_options_that_decide_are_those_declared() -> None:
    """A second process gets every option but those of the recording, and of its own store."""
    parser = pytest.Parser(_ispytest=True)
    pytest_addoption(parser)
    declared = {name for option in parser._anonymous.options for name in option.names()}
    declared |= {name for group in parser._groups for o in group.options for name in o.names()}
    config: Any = SimpleNamespace(getoption=lambda _: "x")
    passed = {*deciding_options(config)} - {"x"}
    own = {"--model-store", "--bless", "--no-confirm", "--require-all"}
    assert passed == declared - own
    assert own <= declared


def test_an_interrupted_confirmation_records_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old snapshot is as it was, and the new one is a candidate."""

    def interrupted(*_: object) -> tuple[set[str], str, list[str]]:
        raise KeyboardInterrupt

    monkeypatch.setattr(confirmation, "_matched", interrupted)
    path = tmp_path / "test_it.json"
    path.write_text("old")
    confirmation.unconfirmed(path).write_text("new")
    confirmation.await_confirmation(MeasurementExtension, path)
    with pytest.raises(KeyboardInterrupt):
        confirmation.confirm(_session(tmp_path))
    assert path.read_text() == "old"
    assert path.with_name("test_it.json.candidate").read_text() == "new"
    assert len([*tmp_path.iterdir()]) == 2


@pytest.mark.parametrize("confirmed", [True, False])
def test_names_may_have_full_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, confirmed: bool
) -> None:
    """Also the hidden file and the candidate of a name of 255 characters can be written."""
    path = tmp_path / f"test_{'x' * 245}.json"
    assert len(path.name) == 255
    confirmation.unconfirmed(path).write_text("new")
    confirmation.await_confirmation(MeasurementExtension, path)
    matched = {str(path)} if confirmed else set()
    monkeypatch.setattr(confirmation, "_matched", lambda *_: (matched, "gave another result", []))
    lines = confirmation.confirm(_session(tmp_path))
    (file,) = tmp_path.iterdir()
    assert file.read_text() == "new"
    assert (file == path) is confirmed is not bool(lines)


def test_other_projects_wait_on(tmp_path: Path) -> None:
    """A session within a test records what belongs to its own project."""
    for name in ("a", "b"):
        path = tmp_path / name / "test_it.json"
        path.parent.mkdir()
        confirmation.unconfirmed(path).write_text(name)
        confirmation.await_confirmation(MeasurementExtension, path)
    confirmation.record(tmp_path / "a")
    assert (tmp_path / "a" / "test_it.json").read_text() == "a"
    assert not (tmp_path / "b" / "test_it.json").exists()
    confirmation.record(tmp_path)
    assert (tmp_path / "b" / "test_it.json").read_text() == "b"


def _session(root: Path) -> pytest.Session:
    config = SimpleNamespace(rootpath=root, getoption=lambda _: False)
    return cast("pytest.Session", SimpleNamespace(config=config))


@pytest.mark.parametrize(("tx", "no_confirm"), [(["popen"], False), ([], False), (["popen"], True)])
def test_workers_write_no_snapshots(tx: list[str], *, no_confirm: bool) -> None:
    """They would not be confirmed; --no-confirm allows it."""
    option = SimpleNamespace(margin=0, tx=tx, no_confirm=no_confirm)
    config: Any = SimpleNamespace(option=option, getoption=lambda *_, **__: True)
    refused = "in parallel" if tx and not no_confirm else "--margin 0 is not above 0"
    with pytest.raises(pytest.UsageError, match=refused):
        check_options(config)
