"""Runs on disk: resuming, refusing, and surviving a kill at any byte."""

import json
from pathlib import Path

import pytest

from benchmark.errors import DataError, ResumeError
from benchmark.runs.store.run_folder import RunFolder

IDENTITY = {"model": {"name": "m"}, "protocol": {"limits": (1, 2)}}


def test_predictions_survive_and_the_run_goes_on(tmp_path: Path) -> None:
    """What one process has appended, the next finds."""
    with RunFolder(tmp_path / "run", IDENTITY) as folder:
        assert folder.finished() == {}
        folder.append([("a", "Statement: A."), ("b", "ü\n")])
    with RunFolder(tmp_path / "run", IDENTITY) as folder:
        assert folder.finished() == {"a": "Statement: A.", "b": "ü\n"}


def test_a_kill_at_any_byte_loses_only_the_torn_line(tmp_path: Path) -> None:
    """Whole lines are kept and a torn one is dropped, wherever the file ends."""
    with RunFolder(tmp_path, IDENTITY) as folder:
        folder.append([("a", "1"), ("b", "2")])
    path = tmp_path / "predictions.jsonl"
    content = path.read_bytes()
    for length in range(len(content) + 1):
        path.write_bytes(content[:length])
        with RunFolder(tmp_path, IDENTITY) as folder:
            whole = content[:length].count(b"\n")
            assert list(folder.finished()) == ["a", "b"][:whole]
            folder.append([("c", "3")])
            assert list(folder.finished()) == [*["a", "b"][:whole], "c"]


def test_another_run_is_refused_and_left_alone(tmp_path: Path) -> None:
    """A folder that holds another run names what differs; its files stay as they are."""
    with RunFolder(tmp_path, IDENTITY) as folder:
        folder.append([("a", "1")])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    other = RunFolder(tmp_path, {**IDENTITY, "model": {"name": "other"}})
    with pytest.raises(ResumeError, match=r'name was "m", now "other".*another --out'), other:
        pass
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_one_process_at_a_time(tmp_path: Path) -> None:
    """A folder in use is refused."""
    with (
        RunFolder(tmp_path, IDENTITY),
        pytest.raises(ResumeError, match="another process is writing"),
        RunFolder(tmp_path, IDENTITY),
    ):
        pass


def test_predictions_of_an_unknown_run_are_refused(tmp_path: Path) -> None:
    """Predictions without a run.json are nobody's to go on with."""
    (tmp_path / "predictions.jsonl").write_text('{"input": "a", "prediction": "1"}\n')
    with pytest.raises(ResumeError, match=r"no run\.json"), RunFolder(tmp_path, IDENTITY):
        pass
    with RunFolder(tmp_path, IDENTITY, set_aside=True) as folder:
        assert folder.finished() == {}


def test_the_current_folder_can_be_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``--out .`` has a name too, and files that are not the run's stay where they are."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    (here / "mine.txt").write_text("mine")
    with RunFolder(Path(), {**IDENTITY, "model": "other"}) as folder:
        folder.append([("a", "1")])
    with RunFolder(Path(), IDENTITY, set_aside=True) as folder:
        assert folder.finished() == {}
    assert (tmp_path / "here.1" / "predictions.jsonl").exists()
    assert (here / "mine.txt").read_text() == "mine"


def test_a_damaged_run_json_is_named(tmp_path: Path) -> None:
    """A run.json that is not JSON is an error with its path."""
    (tmp_path / "run.json").write_text("{")
    with (
        pytest.raises(DataError, match=r"run\.json: not JSON"),
        RunFolder(tmp_path, IDENTITY),
    ):
        pass


def test_the_result_is_written(tmp_path: Path) -> None:
    """The result is a JSON document in result.json."""
    with RunFolder(tmp_path, IDENTITY) as folder:
        path = folder.finish({"overall": {"correct": 1, "total": 2}}, [])
    assert json.loads(path.read_text()) == {"overall": {"correct": 1, "total": 2}}


def test_a_finished_run_has_the_order_of_the_data(tmp_path: Path) -> None:
    """Predictions come as engines finish them and are left as the data has them."""
    with RunFolder(tmp_path, IDENTITY) as folder:
        folder.append([("b", "2"), ("c", "3")])
        folder.append([("a", "1")])
        assert list(folder.finished()) == ["b", "c", "a"]
        folder.finish({}, [("a", "1"), ("b", "2"), ("c", "3")])
        assert list(folder.finished().items()) == [("a", "1"), ("b", "2"), ("c", "3")]


def test_another_run_is_set_aside_when_asked(tmp_path: Path) -> None:
    """With set_aside the other run moves to the first free folder beside, whole."""
    path = tmp_path / "run"
    for name in ("first", "second", "third"):
        identity = {**IDENTITY, "model": {"name": name}}
        with RunFolder(path, identity, set_aside=True) as folder:
            assert folder.finished() == {}
            folder.append([(name, "1")])
    for beside, name in (("run.1", "first"), ("run.2", "second"), ("run", "third")):
        assert json.loads((tmp_path / beside / "run.json").read_text())["model"]["name"] == name
        assert name in (tmp_path / beside / "predictions.jsonl").read_text()


def test_set_aside_leaves_the_same_run_alone(tmp_path: Path) -> None:
    """With set_aside the same run goes on in its place."""
    for _ in range(2):
        with RunFolder(tmp_path / "run", IDENTITY, set_aside=True) as folder:
            folder.append([("a", "1")])
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert (tmp_path / "run" / "predictions.jsonl").read_text().count("\n") == 2


def test_the_result_is_read_back(tmp_path: Path) -> None:
    """A finished run knows its result, one that is not over has none."""
    with RunFolder(tmp_path, IDENTITY) as folder:
        assert folder.result() == {}
        folder.finish({"overall": 1}, [])
        assert folder.result() == {"overall": 1}
