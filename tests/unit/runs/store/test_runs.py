"""Reading finished runs with their predictions."""

from pathlib import Path

import pytest

from benchmark.errors import DataError
from benchmark.models.registry import registry
from benchmark.runs.store.runs import read_runs
from fakes import finished_runs

LLAMA = "meta-llama/Llama-2-7b-hf"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder with two runs of a registered model and one of another model."""
    states = finished_runs.first_states(4)
    for name, model in (("one", LLAMA), ("two", LLAMA), ("three", "somebody/thing")):
        finished_runs.write_run(tmp_path / name, model, states, finished_runs.correct_answer)
    return tmp_path


def test_label_model_texts(runs: Path) -> None:
    """A run has its registered model, its texts and a unique label."""
    finished = {run.path.name: run for run in read_runs([runs], registry())}
    assert {run.label for run in finished.values()} == {
        "Llama 2 7B (one)",
        "Llama 2 7B (two)",
        "thing",
    }
    assert finished["one"].registered is registry().models["llama2-7b"]
    assert finished["three"].registered is None
    assert finished["three"].result.model == "somebody/thing"
    assert len(finished["one"].texts) == 4
    assert finished["one"].finished.tzinfo is not None


def test_order_of_the_folders(runs: Path) -> None:
    """Runs are in the order of the folders, without duplicates."""
    finished = read_runs([runs / "two", runs, runs / "one"], registry())
    assert [run.path.name for run in finished] == ["two", "one", "three"]


def test_same_folder_names(tmp_path: Path) -> None:
    """If folder names are equal too, labels have the full path."""
    states = finished_runs.first_states(2)
    for place in ("a/run", "b/run"):
        finished_runs.write_run(tmp_path / place, LLAMA, states, finished_runs.correct_answer)
    labels = {run.label for run in read_runs([tmp_path], registry())}
    assert len(labels) == 2
    assert all(str(tmp_path) in label for label in labels)


def test_a_model_that_was_given_as_the_working_directory(tmp_path: Path) -> None:
    """The run is called after its folder, from any directory."""
    states = finished_runs.first_states(2)
    finished_runs.write_run(tmp_path / "mine", ".", states, finished_runs.correct_answer)
    assert read_runs([tmp_path], registry())[0].label == "mine"


def test_without_predictions(runs: Path) -> None:
    """A run without predictions.jsonl has no texts."""
    (runs / "one" / "predictions.jsonl").unlink()
    assert read_runs([runs / "one"], registry())[0].texts == {}


def test_no_result(tmp_path: Path) -> None:
    """A folder without a result is an error with the folder and the next step."""
    with pytest.raises(DataError, match=r"no result.json in or below it; measure with: run"):
        read_runs([tmp_path], registry())
