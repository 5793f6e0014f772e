"""The file of predictions in the folder of a run."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.errors import DataError
from benchmark.runs.store.predictions_file import PredictionsFile
from benchmark.runs.store.rescoring import rescore
from benchmark.scoring.predictions import prediction_line
from benchmark.tasks import task_of

LINES = [prediction_line(f"state {number}", "x" * 40_000) for number in range(4)]


@pytest.mark.parametrize("rest", ["", "{", "y" * 65_535, "y" * 65_536, "y" * 200_000])
@pytest.mark.parametrize("count", [0, 1, 4])
def test_an_incomplete_line_of_any_length_is_dropped(tmp_path: Path, count: int, rest: str) -> None:
    """The lines before it stay as they are."""
    path = tmp_path / "predictions.jsonl"
    path.write_text("".join(LINES[:count]) + rest)
    predictions = PredictionsFile(path).read(None, finished=False)
    assert list(predictions) == [f"state {number}" for number in range(count)]
    assert path.read_text() == "".join(LINES[:count])


@pytest.mark.parametrize("finished", [True, False])
def test_a_pipe_is_refused(tmp_path: Path, finished: bool) -> None:  # noqa: FBT001
    """A pipe without a writer in the place of the file does not block."""
    path = tmp_path / "predictions.jsonl"
    os.mkfifo(path)
    with pytest.raises(DataError, match="not a regular file"):
        PredictionsFile(path).read(None, finished=finished)
    with pytest.raises(DataError, match="not a regular file"):
        rescore(task_of({}, "result.json"), [], path)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_only_a_regular_file_grows(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """A pipe without a reader would wait for one for ever."""
    path = tmp_path / "predictions.jsonl"
    make(path)
    with pytest.raises(DataError, match="not a regular file; remove it"):
        PredictionsFile(path).append([("a", "b")])
