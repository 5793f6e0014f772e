"""Loading the states of a request, and refusing contradictory requests."""

from itertools import islice, permutations
from pathlib import Path

import pytest

from benchmark.boxes.dataset import rows
from benchmark.boxes.vocabulary import default_vocabulary
from benchmark.errors import DataError, SettingError
from benchmark.runs.data import load_states
from benchmark.runs.requests import DataRequest
from benchmark.tasks import TASKS, task_named


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A file of five states."""
    path = tmp_path / "data.jsonl"
    every = load_states(DataRequest(seed=1, states=5))
    path.write_text("".join(f"{row}\n" for state in every for row in rows(state)))
    return path


def test_states_of_a_file(data: Path) -> None:
    """A file's states are loaded, all or the first N; generated data has seed 0 by default."""
    every = load_states(DataRequest(seed=1, states=5))
    assert load_states(DataRequest(data)) == every
    assert load_states(DataRequest(data, states=2)) == every[:2]
    assert load_states(DataRequest(states=3)) == load_states(DataRequest(seed=0, states=3))


def test_duplicate_state_is_refused(data: Path) -> None:
    """A duplicate state is refused, because predictions are matched by description."""
    data.write_text(data.read_text() * 2)
    with pytest.raises(DataError, match=r"data\.jsonl: a state of sequence \d+ occurs twice"):
        load_states(DataRequest(data))


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (DataRequest(Path("x.jsonl"), seed=0), "--seed generates data and --data x.jsonl reads"),
        (DataRequest(Path("x.jsonl"), password="p"), "--password is for the authors' ZIP"),  # noqa: S106
        (DataRequest(password="p"), "--password is for the authors' ZIP"),  # noqa: S106
        (DataRequest(states=0), "--states 0: at least 1 is needed"),
    ],
)
def test_options_that_do_not_apply_are_refused(request_: DataRequest, message: str) -> None:
    """An option that would be ignored is an error."""
    with pytest.raises(SettingError, match=message):
        load_states(request_)


def test_predictions_are_not_states(data: Path) -> None:
    """A file of predictions in the place of data is named as such."""
    data.write_text('{"input": "Box 0 contains the bag", "prediction": "x"}\n' * 7)
    with pytest.raises(DataError, match=r"data\.jsonl: holds predictions, not states; give"):
        load_states(DataRequest(data))


@pytest.mark.parametrize(("task", "other"), list(permutations(TASKS, 2)))
def test_states_of_another_task_are_recognized(tmp_path: Path, task: str, other: str) -> None:
    """The error names the task that the file is of."""
    path = tmp_path / "data.jsonl"
    states = islice(task_named(task).generate("test", 0, default_vocabulary()), 300)
    path.write_text("".join(f"{row}\n" for state in states for row in task_named(task).rows(state)))
    with pytest.raises(DataError, match=rf"data\.jsonl:\d+: .*: use --task {task}$"):
        load_states(DataRequest(path, task=other))
    assert len(load_states(DataRequest(path, task=task))) == 300
