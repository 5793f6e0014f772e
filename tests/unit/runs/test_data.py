"""Which states a request gives, and which requests contradict themselves."""

from pathlib import Path

import pytest

from benchmark.boxes.dataset import rows
from benchmark.errors import DataError, SettingError
from benchmark.runs.data import load_states
from benchmark.runs.requests import DataRequest


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A file of five states."""
    path = tmp_path / "data.jsonl"
    every = load_states(DataRequest(seed=1, states=5))
    path.write_text("".join(f"{row}\n" for state in every for row in rows(state)))
    return path


def test_a_file_gives_what_was_written(data: Path) -> None:
    """The states of a file, all or the first so many; the seed is 0 where none is given."""
    every = load_states(DataRequest(seed=1, states=5))
    assert load_states(DataRequest(data)) == every
    assert load_states(DataRequest(data, states=2)) == every[:2]
    assert load_states(DataRequest(states=3)) == load_states(DataRequest(seed=0, states=3))


def test_a_state_that_comes_twice_is_refused(data: Path) -> None:
    """Predictions are told apart by their descriptions, so a state may not be repeated."""
    data.write_text(data.read_text() * 2)
    with pytest.raises(DataError, match=r"data\.jsonl: a state of sequence \d+ comes twice"):
        load_states(DataRequest(data))


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (DataRequest(Path("x.jsonl"), seed=0), "--seed generates data, and --data x.jsonl gives"),
        (DataRequest(Path("x.jsonl"), password="p"), "--password is for the authors' ZIP"),  # noqa: S106
        (DataRequest(password="p"), "--password is for the authors' ZIP"),  # noqa: S106
        (DataRequest(states=0), "--states 0: at least 1 is needed"),
    ],
)
def test_options_that_say_nothing_are_refused(request_: DataRequest, message: str) -> None:
    """An option that would be left aside without a word is an error."""
    with pytest.raises(SettingError, match=message):
        load_states(request_)
