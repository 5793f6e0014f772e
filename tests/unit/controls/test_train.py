"""Training of the controls: determinism, resuming after a kill, and refused folders."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from benchmark import writing
from benchmark.controls import loop
from benchmark.controls.recipe import Recipe, read_recipe
from benchmark.controls.train import train_controls
from benchmark.errors import ResumeError, SettingError

MODELS = Path(__file__).parents[3] / "fixtures" / "models"


def _train(recipe: Recipe, out: Path, seed: int = 0, *names: str) -> list[str]:
    lines: list[str] = []
    train_controls(recipe, out, seed, names, lines.append)
    return lines


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _stop_after(recipe: Recipe, out: Path, monkeypatch: pytest.MonkeyPatch, last: int) -> None:
    """Train the copying control, and stop after a checkpoint."""
    save = loop.save

    def save_and_stop(state: loop.TrainingState, path: Path) -> None:
        save(state, path)
        if state.step == last:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "save", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            _train(recipe, out, 0, "copy")


def _move_away(folder: Path) -> None:
    folder.rename(folder.with_name("moved"))


@pytest.fixture(scope="module")
def trained(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with both controls of the tiny recipe."""
    out = tmp_path_factory.mktemp("controls")
    _train(recipe, out)
    return out


def test_training_is_reproducible(recipe: Recipe, trained: Path, tmp_path: Path) -> None:
    """A second training writes the same files, byte by byte, and no others."""
    _train(recipe, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "track"]
    for name in ("copy", "track"):
        assert _files(tmp_path / name) == _files(trained / name)


def test_another_seed_yields_other_weights(recipe: Recipe, trained: Path, tmp_path: Path) -> None:
    """The command line's seed changes the weights."""
    _train(recipe, tmp_path, 1, "copy")
    paths = (out / "copy" / "model.safetensors" for out in (trained, tmp_path))
    first, second = map(load_file, paths)
    assert not all(first[name].equal(second[name]) for name in first)


@pytest.mark.parametrize("last", [1, 2, 3])
def test_a_killed_training_resumes(
    recipe: Recipe, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: int
) -> None:
    """A training that is killed after any step and resumed writes the same files."""
    _stop_after(recipe, tmp_path, monkeypatch, last)
    assert not (tmp_path / "copy").exists()
    assert f"resuming at step {last} of 4" in _train(recipe, tmp_path, 0, "copy")
    assert _files(tmp_path / "copy") == _files(trained / "copy")


def test_the_start_of_a_control_is_trained_too(
    recipe: Recipe, trained: Path, tmp_path: Path
) -> None:
    """With only track requested, the copying control is trained first."""
    _train(recipe, tmp_path, 0, "track")
    assert _files(tmp_path / "track") == _files(trained / "track")
    assert (tmp_path / "copy").is_dir()


def test_finished_controls_are_kept(recipe: Recipe, trained: Path) -> None:
    """Finished controls are not trained again."""
    assert _train(recipe, trained) == [f"{trained / name}: finished" for name in ("copy", "track")]


def test_the_stored_controls_match_the_recipe() -> None:
    """The controls in ``fixtures/models`` are those of the current recipe and seed 0."""
    lines = _train(read_recipe(), MODELS)
    assert lines == [f"{MODELS / name}: finished" for name in ("copy-a", "copy-b", "track")]


def test_a_folder_of_another_seed_is_refused(recipe: Recipe, trained: Path) -> None:
    """A folder of another seed is refused and kept."""
    with pytest.raises(ResumeError, match="copy: from another recipe or seed; choose"):
        _train(recipe, trained, 1)


def test_a_folder_of_something_else_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    """A folder without a recipe is refused."""
    (tmp_path / "copy").mkdir()
    with pytest.raises(ResumeError, match="the contents of this folder are unknown"):
        _train(recipe, tmp_path)


def test_an_unknown_control_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    """The error lists the recipe's controls."""
    with pytest.raises(SettingError, match="no control 'copies'; choose one of copy, track"):
        _train(recipe, tmp_path, 0, "copies")


def test_training_log(trained: Path) -> None:
    """The log has one line per evaluation: step, stage, loss and dev accuracies, as CSV."""
    lines = (trained / "copy" / "training.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "step,stage,loss,numops_0,numops_1_up"
    assert [line.split(",")[:2] for line in lines[1:]] == [["2", "bare"], ["4", "prompted"]]


def test_a_damaged_checkpoint_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    """The error names the checkpoint and what to do."""
    (tmp_path / ".copy").mkdir()
    (tmp_path / ".copy" / "checkpoint.pt").write_bytes(b"PK torn")
    with pytest.raises(
        ResumeError, match=r"checkpoint.pt: cannot resume from this checkpoint; rem"
    ):
        _train(recipe, tmp_path)


@pytest.mark.parametrize(
    "values",
    [
        {"step": -1},
        {"step": 5},
        {"step": 10**30},
        {"step": "1"},
        {"step": True},
        {"losses": None},
        {"losses": ["x"]},
        {"log": [1]},
        {"log": [{"step": 1}]},
        {"model": {}},
    ],
    ids=str,
)
def test_impossible_values_of_a_checkpoint_are_refused(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: dict[str, object]
) -> None:
    """A step out of range, or a value of another type, is refused as a damaged file is."""
    _stop_after(recipe, tmp_path, monkeypatch, 1)
    path = tmp_path / ".copy" / "checkpoint.pt"
    torch.save({**torch.load(path, weights_only=True), **values}, path)
    with pytest.raises(ResumeError, match=r"checkpoint\.pt: cannot resume"):
        _train(recipe, tmp_path, 0, "copy")


@pytest.mark.parametrize("change", [_move_away, shutil.rmtree], ids=["moved", "removed"])
@pytest.mark.parametrize("last", [1, 4])
def test_a_folder_that_is_lost_ends_the_training(
    recipe: Recipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    last: int,
    change: Callable[[Path], object],
) -> None:
    """The error names a file in it, and the folder is not made again."""
    out, save = tmp_path / "out", loop.save

    def save_and_lose(state: loop.TrainingState, path: Path) -> None:
        save(state, path)
        if state.step == last:
            change(out)

    monkeypatch.setattr(loop, "save", save_and_lose)
    with pytest.raises(FileNotFoundError) as error:
        _train(recipe, out, 0, "copy")
    assert str(out) in str(error.value.filename)
    assert not out.exists()


def test_a_checkpoint_is_replaced_whole(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk leaves the checkpoint before; what a killed process left is removed."""
    _stop_after(recipe, tmp_path, monkeypatch, 1)
    path = tmp_path / ".copy" / "checkpoint.pt"
    content = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(writing, "_synchronize", full)
        with pytest.raises(OSError, match="No space left"):
            _train(recipe, tmp_path, 0, "copy")
    assert path.read_bytes() == content
    assert sorted(p.name for p in path.parent.iterdir()) == ["checkpoint.pt", "lock", "recipe.json"]
