"""Rows of results: each against what a state and a text say of themselves."""

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

from benchmark.boxes.states import parse_state
from benchmark.export.rows import Row, plain_text, result_rows
from benchmark.models.registry import registry
from benchmark.report.gather import answered_states
from benchmark.runs.store.runs import read_runs

MODEL = "meta-llama/Llama-2-7b-hf"


def _rows(*folders: Path) -> list[Row]:
    runs = read_runs(folders, registry())
    return list(result_rows(runs, answered_states(runs)))


def _in_order(folder: Path) -> Path:
    """The run with its predictions in the order of its result, as ``run`` leaves them."""
    path = folder / "predictions.jsonl"
    path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))
    return folder


def test_a_row_a_query(tmp_path: Path, finished_runs: ModuleType) -> None:
    """Gold, numops and sequence are the state's, the prediction the text's, box by box."""
    states = finished_runs.some_states(26)
    run = finished_runs.write_run(tmp_path / "a", MODEL, states, finished_runs.copied)
    rows = _rows(_in_order(run))
    asked = [(state, query) for state in states for query in state.queries]
    assert len(rows) == len(asked) == 26 * 7
    for row, (state, query) in zip(rows, asked, strict=True):
        said = finished_runs.first_contents(state.description)[query.box]
        assert (row["description"], row["box"]) == (state.description, query.box)
        assert (row["gold"], row["numops"]) == (list(query.gold), query.numops)
        by_op = row["numops_by_op"]
        assert isinstance(by_op, dict)
        assert (by_op["move"], by_op["remove"], by_op["put"]) == query.numops_by_op
        assert row["predicted"] == sorted(said)
        assert row["correct"] == (said == set(query.gold))
        assert row["correct_exact"] == row["correct"]  # statements name objects in one order
        assert row["operations"] == state.description.count(".") - 1
        assert row["sequence"] == state.sample_id
        assert row["text"] == finished_runs.copied(state)


def test_a_column_per_score(tmp_path: Path, finished_runs: ModuleType) -> None:
    """Objects in another order are right by ``correct`` and wrong by ``correct_exact``."""
    states = finished_runs.some_states(13)
    run = finished_runs.write_run(tmp_path / "a", MODEL, states, finished_runs.backwards)
    rows = _rows(run)
    assert all(row["correct"] for row in rows)
    several = [len(gold) > 1 for row in rows if isinstance(gold := row["gold"], list)]
    assert [not row["correct_exact"] for row in rows] == several
    assert any(several)


def test_what_a_row_says_of_its_run(tmp_path: Path, finished_runs: ModuleType) -> None:
    """Model, data and settings come from the result; None where it does not say."""
    states = finished_runs.some_states(1)
    run = finished_runs.write_run(tmp_path / "a", MODEL, states, finished_runs.right)
    row = _rows(run)[0]
    assert (row["run"], row["model"]) == ("Llama 2 7B", MODEL)
    assert (row["model_fingerprint"], row["data_sha256"]) == ("0123abcd", "d1")
    assert (row["protocol"], row["engine"], row["dtype"]) == ("default", "outlines", None)
    assert '"torch": "2.13.0"' in str(row["environment"])


def test_the_sequence_is_not_guessed(tmp_path: Path, finished_runs: ModuleType) -> None:
    """Predictions in another order than the result's have no sequence."""
    states = finished_runs.some_states(26)
    run = finished_runs.write_run(tmp_path / "a", MODEL, states, finished_runs.copied)
    assert {row["sequence"] for row in _rows(run)} == {None}


def test_two_runs_with_states_of_their_own(tmp_path: Path, finished_runs: ModuleType) -> None:
    """Each run has the rows of what it was asked, and no others."""
    states = finished_runs.some_states(26)
    parts: Sequence[Path] = [
        finished_runs.write_run(tmp_path / "a", MODEL, states[:20], finished_runs.right),
        finished_runs.write_run(tmp_path / "b", "x/y", states[10:], finished_runs.copied),
    ]
    rows = _rows(*parts)
    of_first = {row["description"] for row in rows if row["run"] == "Llama 2 7B"}
    of_second = {row["description"] for row in rows if row["run"] == "y"}
    assert of_first == {state.description for state in states[:20]}
    assert of_second == {state.description for state in states[10:]}
    assert len(rows) == (20 + 16) * 7


def test_an_answer_that_leaves_boxes_out(tmp_path: Path, finished_runs: ModuleType) -> None:
    """None is no answer, and the empty list an answer."""
    states = [parse_state(0, finished_runs.some_states(1)[0].description)]
    text = "Statement: Box 0 contains nothing, Box 1 contains the cup."
    run = finished_runs.write_run(tmp_path / "a", MODEL, states, lambda _: text)
    assert [row["predicted"] for row in _rows(run)] == [[], ["cup"], None, None, None, None, None]


@pytest.mark.parametrize(
    ("text", "plain"),
    [("a\ud800b", "a\ufffdb"), ("\x00\x1b\u202e", "\x00\x1b\u202e"), ("\U0001f4e6", "\U0001f4e6")],
)
def test_only_what_utf8_cannot_hold_is_replaced(text: str, plain: str) -> None:
    """Half a surrogate pair is; control characters and whole pairs are not."""
    assert plain_text(text) == plain
