"""Making the controls: determinism, going on after a kill, and what is refused."""

from pathlib import Path

import pytest
from safetensors.torch import load_file

from benchmark.controls import loop as training
from benchmark.controls.recipe import Recipe, read_recipe
from benchmark.controls.train import train_controls
from benchmark.errors import ResumeError, SettingError

MODELS = Path(__file__).parents[3] / "fixtures" / "models"


def _make(recipe: Recipe, out: Path, seed: int = 0, *names: str) -> list[str]:
    said: list[str] = []
    train_controls(recipe, out, seed, names, said.append)
    return said


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def made(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of both controls of the tiny recipe."""
    out = tmp_path_factory.mktemp("made")
    _make(recipe, out)
    return out


def test_the_same_recipe_and_seed_give_the_same_bytes(
    recipe: Recipe, made: Path, tmp_path: Path
) -> None:
    """A second training writes the same files, byte by byte, and leaves nothing else."""
    _make(recipe, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "track"]
    for name in ("copy", "track"):
        assert _files(tmp_path / name) == _files(made / name)


def test_another_seed_gives_other_weights(recipe: Recipe, made: Path, tmp_path: Path) -> None:
    """The command line's seed changes the weights."""
    _make(recipe, tmp_path, 1, "copy")
    first, second = (load_file(each / "copy" / "model.safetensors") for each in (made, tmp_path))
    assert not all(first[name].equal(second[name]) for name in first)


@pytest.mark.parametrize("last", [1, 2, 3])
def test_a_killed_training_goes_on_as_if_it_had_not_been(
    recipe: Recipe, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: int
) -> None:
    """Stopped after any step, the same command ends with the same files."""
    save = training.save

    def save_and_die(progress: training.TrainingState, path: Path) -> None:
        save(progress, path)
        if progress.step == last:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, "save", save_and_die)
        with pytest.raises(KeyboardInterrupt):
            _make(recipe, tmp_path, 0, "copy")
    assert not (tmp_path / "copy").exists()
    assert f"going on at step {last} of 4" in _make(recipe, tmp_path, 0, "copy")
    assert _files(tmp_path / "copy") == _files(made / "copy")


def test_a_control_brings_what_it_starts_from(recipe: Recipe, made: Path, tmp_path: Path) -> None:
    """Asked for track alone, the copying control is made first."""
    _make(recipe, tmp_path, 0, "track")
    assert _files(tmp_path / "track") == _files(made / "track")
    assert (tmp_path / "copy").is_dir()


def test_finished_controls_are_kept(recipe: Recipe, made: Path) -> None:
    """The same command on a finished folder trains nothing."""
    assert _make(recipe, made) == [f"{made / name}: finished" for name in ("copy", "track")]


def test_the_project_s_controls_are_of_its_recipe() -> None:
    """What lies in ``fixtures/models`` says that today's recipe and seed 0 made it."""
    said = _make(read_recipe(), MODELS)
    assert said == [f"{MODELS / name}: finished" for name in ("copy-a", "copy-b", "track")]


def test_a_folder_of_another_seed_is_refused(recipe: Recipe, made: Path) -> None:
    """What another seed made is named and left alone."""
    with pytest.raises(ResumeError, match="copy: made by another recipe or seed; choose"):
        _make(recipe, made, 1)


def test_a_folder_of_something_else_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    """A folder without a recipe is not written into."""
    (tmp_path / "copy").mkdir()
    with pytest.raises(ResumeError, match="it is not known what is in this folder"):
        _make(recipe, tmp_path)


def test_an_unknown_control_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    """The message names the controls that there are."""
    with pytest.raises(SettingError, match="no control 'copies'; choose one of copy, track"):
        _make(recipe, tmp_path, 0, "copies")


def test_the_training_log_has_a_line_a_measurement(made: Path) -> None:
    """Steps, stage, loss and dev accuracy, as CSV."""
    lines = (made / "copy" / "training.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "step,stage,loss,numops_0,numops_1_up"
    assert [line.split(",")[:2] for line in lines[1:]] == [["2", "bare"], ["4", "prompted"]]


def test_a_torn_checkpoint_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    """What cannot be gone on from is named, with what to do."""
    (tmp_path / ".copy").mkdir()
    (tmp_path / ".copy" / "checkpoint.pt").write_bytes(b"PK torn")
    with pytest.raises(ResumeError, match=r"checkpoint.pt: cannot go on from this checkpoint; rem"):
        _make(recipe, tmp_path)
