"""Run folders: resuming, refusing other runs, and surviving a kill at any byte."""

import errno
import json
import os
from pathlib import Path

import pytest

from benchmark.errors import ResumeError
from benchmark.locking import NoLocksError
from benchmark.runs.store.run_folder import RunFolder

IDENTITY = {"model": {"name": "m"}, "protocol": {"limits": (1, 2)}}


def test_predictions_are_read_back(tmp_path: Path) -> None:
    """A later process reads what an earlier one appended."""
    with RunFolder(tmp_path / "run", IDENTITY) as folder:
        assert folder.read_predictions() == {}
        folder.append_predictions([("a", "Statement: A."), ("b", "ü\n")])
    with RunFolder(tmp_path / "run", IDENTITY) as folder:
        assert folder.read_predictions() == {"a": "Statement: A.", "b": "ü\n"}


def test_kill_at_any_byte_loses_only_the_incomplete_line(tmp_path: Path) -> None:
    """Complete lines are kept and an incomplete last line is dropped."""
    with RunFolder(tmp_path, IDENTITY) as folder:
        folder.append_predictions([("a", "1"), ("b", "2")])
    path = tmp_path / "predictions.jsonl"
    content = path.read_bytes()
    for length in range(len(content) + 1):
        path.write_bytes(content[:length])
        with RunFolder(tmp_path, IDENTITY) as folder:
            complete = content[:length].count(b"\n")
            assert list(folder.read_predictions()) == ["a", "b"][:complete]
            folder.append_predictions([("c", "3")])
            assert list(folder.read_predictions()) == [*["a", "b"][:complete], "c"]


def test_different_run_is_refused_and_unchanged(tmp_path: Path) -> None:
    """The error names the difference, and the files of the other run are unchanged."""
    with RunFolder(tmp_path, IDENTITY) as folder:
        folder.append_predictions([("a", "1")])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    other = RunFolder(tmp_path, {**IDENTITY, "model": {"name": "other"}})
    with pytest.raises(ResumeError, match=r'name was "m", now "other".*another --out'), other:
        pass
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_driver_of_a_gpu_is_part_of_a_run(tmp_path: Path) -> None:
    """Another one is named as other hardware is; a run that did not record it is the same run."""

    def on(**hardware: object) -> dict[str, object]:
        described = {"hardware_class": "H200", "threads": 0, **hardware}
        return {**IDENTITY, "environment": {"hardware": described, "versions": {}}}

    products = {"cuda": "13.0", "driver": "580.1", "tf32": False}
    with RunFolder(tmp_path / "new", on(**products)):
        pass
    other = RunFolder(tmp_path / "new", on(**{**products, "driver": "570.2"}))
    with pytest.raises(ResumeError, match=r'driver was "580\.1", now "570\.2"'), other:
        pass
    with RunFolder(tmp_path / "old", on()):
        pass
    with RunFolder(tmp_path / "old", on(**products)) as folder:
        assert folder.identity == json.loads(json.dumps(on()))
    elsewhere = RunFolder(tmp_path / "old", on(**products, hardware_class="H100"))
    with pytest.raises(ResumeError, match='hardware_class was "H200", now "H100"'), elsewhere:
        pass


@pytest.mark.parametrize("path", ["./models/m", "/elsewhere/m", "models/m/"])
def test_another_path_of_a_local_model_is_the_same_run(tmp_path: Path, path: str) -> None:
    """The digest says which model it is; run.json keeps the path of the first start."""
    first = {**IDENTITY, "model": {"name": "models/m", "fingerprint": "sha256:1"}}
    with RunFolder(tmp_path, first) as folder:
        folder.append_predictions([("a", "1")])
    before = (tmp_path / "run.json").read_bytes()
    with RunFolder(
        tmp_path, {**first, "model": {"name": path, "fingerprint": "sha256:1"}}
    ) as folder:
        assert folder.read_predictions() == {"a": "1"}
        assert folder.identity["model"] == first["model"]
    assert (tmp_path / "run.json").read_bytes() == before


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"name": "models/m", "fingerprint": "sha256:2"}, 'fingerprint was "sha256:1", now'),
        ({"name": "o/m", "fingerprint": "commit:1"}, 'name was "models/m", now "o/m"'),
    ],
)
def test_other_files_are_a_different_run(
    tmp_path: Path, model: dict[str, str], message: str
) -> None:
    """A model with another digest is another run, under the same path too."""
    with RunFolder(tmp_path, {"model": {"name": "models/m", "fingerprint": "sha256:1"}}):
        pass
    with pytest.raises(ResumeError, match=message), RunFolder(tmp_path, {"model": model}):
        pass


def test_run_of_an_older_version_is_resumed(tmp_path: Path) -> None:
    """A digest of an older version and a count that it recorded do not make another run."""
    old = {
        "model": {"name": "m", "fingerprint": "sha256:1"},
        "prompts": {"sha256": "2", "read_otherwise": 3},
    }
    with RunFolder(tmp_path, old):
        pass
    before = (tmp_path / "run.json").read_bytes()
    new = {"model": {"name": "m", "fingerprint": "sha256-tree:4"}, "prompts": {"sha256": "2"}}
    with RunFolder(tmp_path, new, has_digest="sha256:1".__eq__) as folder:
        assert folder.identity == old
    assert (tmp_path / "run.json").read_bytes() == before
    with (
        pytest.raises(ResumeError, match='fingerprint was "sha256:1", now "sha256-tree:4"'),
        RunFolder(tmp_path, new, has_digest="sha256:2".__eq__),
    ):
        pass


def test_the_default_task_is_named(tmp_path: Path) -> None:
    """An identity leaves out the default task; the message names it."""
    with RunFolder(tmp_path, {"data": {"sha256": "1"}}):
        pass
    other = RunFolder(tmp_path, {"data": {"task": "move-contents", "sha256": "2"}})
    with pytest.raises(ResumeError, match='task was "boxes", now "move-contents"'), other:
        pass


def test_one_process_at_a_time(tmp_path: Path) -> None:
    """A folder that another process uses is refused."""
    with (
        RunFolder(tmp_path, IDENTITY),
        pytest.raises(ResumeError, match="another process is writing"),
        RunFolder(tmp_path, IDENTITY),
    ):
        pass


def test_predictions_of_an_unknown_run_are_refused(tmp_path: Path) -> None:
    """Predictions without a run.json are not resumed."""
    (tmp_path / "predictions.jsonl").write_text('{"input": "a", "prediction": "1"}\n')
    with pytest.raises(ResumeError, match=r"run\.json is missing"), RunFolder(tmp_path, IDENTITY):
        pass
    with RunFolder(tmp_path, IDENTITY, set_aside=True) as folder:
        assert folder.read_predictions() == {}


def test_the_current_folder_can_be_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The current folder works as ``--out .``, and files of others are not moved."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    (here / "mine.txt").write_text("mine")
    with RunFolder(Path(), {**IDENTITY, "model": "other"}) as folder:
        folder.append_predictions([("a", "1")])
    with RunFolder(Path(), IDENTITY, set_aside=True) as folder:
        assert folder.read_predictions() == {}
    assert (tmp_path / "here.1" / "predictions.jsonl").exists()
    assert (here / "mine.txt").read_text() == "mine"


def test_a_damaged_run_json_is_named(tmp_path: Path) -> None:
    """A run.json that is not JSON is an error with its path; such a run can be set aside."""
    folder = tmp_path / "run"
    folder.mkdir()
    for content in ("{", "[]", "null", "", '{"model": {"name": 5, "fingerprint": "sha256:1"}}'):
        (folder / "run.json").write_text(content)
        with (
            pytest.raises(ResumeError, match=r"run: holds a different run \(.*--set-aside"),
            RunFolder(folder, {"model": {"name": "m", "fingerprint": "sha256:1"}}),
        ):
            pass
    with RunFolder(folder, IDENTITY, set_aside=True):
        pass
    assert (tmp_path / "run.1" / "run.json").exists()


def _read_all(path: Path) -> None:
    with RunFolder(path, IDENTITY) as folder:
        folder.read_result()
        folder.read_predictions()
        folder.read_progress(largest_batch=8)


@pytest.mark.parametrize("name", ["run.json", "result.json", "predictions.jsonl", "progress.json"])
def test_a_loop_of_links_is_named(tmp_path: Path, name: str) -> None:
    """Rather than taken for a file that is missing."""
    with RunFolder(tmp_path, IDENTITY):
        pass
    (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / name).symlink_to(tmp_path / name)
    with pytest.raises(OSError, match="Too many levels of symbolic links") as error:
        _read_all(tmp_path)
    assert error.value.filename == str(tmp_path / name)


@pytest.mark.parametrize("kind", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks(
    tmp_path: Path, kind: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line names the folder, the lock and the remedy; nothing waits for ever."""

    def refuse(*_: object) -> None:
        raise OSError(kind, os.strerror(kind))

    monkeypatch.setattr("fcntl.flock", refuse)
    with (
        pytest.raises(NoLocksError, match=r"has no locks .* from writing here; .*another --out"),
        RunFolder(tmp_path, IDENTITY),
    ):
        pass
    assert not (tmp_path / "run.json").exists()


def test_a_folder_that_was_made_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the file."""
    with RunFolder(tmp_path, IDENTITY) as folder:

        def refuse(path: str, *_: object) -> int:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

        with monkeypatch.context() as patch:
            patch.setattr("os.open", refuse)
            with pytest.raises(PermissionError) as error:
                folder.append_predictions([("a", "1")])
    assert error.value.filename == str(tmp_path / "predictions.jsonl")


def test_the_result_is_written(tmp_path: Path) -> None:
    """The result is written to result.json."""
    with RunFolder(tmp_path, IDENTITY) as folder:
        path = folder.finish({"overall": {"correct": 1, "total": 2}}, [])
    assert json.loads(path.read_text()) == {"overall": {"correct": 1, "total": 2}}


def test_finished_run_is_in_the_order_of_the_data(tmp_path: Path) -> None:
    """Predictions arrive in the engine's order and end in the order of the data."""
    with RunFolder(tmp_path, IDENTITY) as folder:
        folder.append_predictions([("b", "2"), ("c", "3")])
        folder.append_predictions([("a", "1")])
        assert list(folder.read_predictions()) == ["b", "c", "a"]
        folder.finish({}, ["a", "b", "c"])
        assert list(folder.read_predictions().items()) == [("a", "1"), ("b", "2"), ("c", "3")]


def test_different_run_is_set_aside(tmp_path: Path) -> None:
    """With set_aside the other run is moved to the first free ``NAME.N``."""
    path = tmp_path / "run"
    for name in ("first", "second", "third"):
        identity = {**IDENTITY, "model": {"name": name}}
        with RunFolder(path, identity, set_aside=True) as folder:
            assert folder.read_predictions() == {}
            folder.append_predictions([(name, "1")])
    for folder_name, name in (("run.1", "first"), ("run.2", "second"), ("run", "third")):
        assert (
            json.loads((tmp_path / folder_name / "run.json").read_text())["model"]["name"] == name
        )
        assert name in (tmp_path / folder_name / "predictions.jsonl").read_text()


def test_set_aside_leaves_the_same_run_alone(tmp_path: Path) -> None:
    """With set_aside the same run is resumed in its place."""
    for _ in range(2):
        with RunFolder(tmp_path / "run", IDENTITY, set_aside=True) as folder:
            folder.append_predictions([("a", "1")])
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert (tmp_path / "run" / "predictions.jsonl").read_text().count("\n") == 2


def test_the_result_is_read_back(tmp_path: Path) -> None:
    """A finished run has a result; an unfinished one has none."""
    with RunFolder(tmp_path, IDENTITY) as folder:
        assert folder.read_result() == {}
        folder.finish({"overall": 1}, [])
        assert folder.read_result() == {"overall": 1}
