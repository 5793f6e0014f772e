"""The second process that confirms snapshots: its options, and its interruption."""

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmark.pytest_plugin.options import check_options
from benchmark.pytest_plugin.snapshots import confirmation
from benchmark.pytest_plugin.snapshots.extension import MeasurementExtension


def test_paths_are_those_of_the_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second process runs in the project's root: relative paths are made absolute."""
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> SimpleNamespace:
        commands.append(command)
        return SimpleNamespace(returncode=3)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.chdir(tmp_path)
    options = {"--data": Path("states.jsonl"), "--states": 3}
    config: Any = SimpleNamespace(
        getoption=lambda name, _=None: options.get(name),
        option=SimpleNamespace(plugins=()),
        rootpath=tmp_path.parent,
    )
    assert confirmation._matched(config, ["test"]) == (set(), "ended with exit status 3")
    (command,) = commands
    assert command[command.index("--data") + 1] == str(tmp_path / "states.jsonl")
    assert command[command.index("--states") + 1] == "3"


def test_an_interrupted_confirmation_records_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old snapshot is restored, and the new one is a candidate."""

    def interrupted(*_: object) -> tuple[set[str], str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(confirmation, "_written", [])
    monkeypatch.setattr(confirmation, "_matched", interrupted)
    path = tmp_path / "test_it.json"
    path.write_text("old")
    confirmation.remember(MeasurementExtension, [path])
    path.write_text("new")
    config = SimpleNamespace(rootpath=tmp_path, getoption=lambda _: False)
    session: Any = SimpleNamespace(config=config, items=[])
    with pytest.raises(KeyboardInterrupt):
        confirmation.confirm(session)
    assert path.read_text() == "old"
    assert path.with_name("test_it.json.candidate").read_text() == "new"


@pytest.mark.parametrize(("tx", "no_confirm"), [(["popen"], False), ([], False), (["popen"], True)])
def test_workers_write_no_snapshots(tx: list[str], *, no_confirm: bool) -> None:
    """They would not be confirmed; --no-confirm allows it."""
    option = SimpleNamespace(margin=0, tx=tx, no_confirm=no_confirm)
    config: Any = SimpleNamespace(option=option, getoption=lambda *_, **__: True)
    refused = "in parallel" if tx and not no_confirm else "--margin 0 is not above 0"
    with pytest.raises(pytest.UsageError, match=refused):
        check_options(config)
