"""Rows of results, compared with the states and texts."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmark.boxes.states import parse_state
from benchmark.export.rows import ResultRow, result_rows, valid_utf8
from benchmark.models.registry import registry
from benchmark.report.gather import answered_states
from benchmark.runs.store.runs import read_runs
from fakes import finished_runs

MODEL = "meta-llama/Llama-2-7b-hf"


def _rows(*folders: Path) -> list[ResultRow]:
    runs = read_runs(folders, registry())
    return list(result_rows(runs, answered_states(runs)))


def _older(folder: Path) -> Path:
    """Turn a run into one of an older version, with predictions in the order of the engine."""
    path = folder / "predictions.jsonl"
    path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))
    document = json.loads((folder / "result.json").read_text())
    del document["exact"]
    (folder / "result.json").write_text(json.dumps(document))
    return folder


def test_one_row_per_query(tmp_path: Path) -> None:
    """Gold, numops and sequence are those of the state; the prediction is that of the text."""
    states = finished_runs.first_states(26)
    run = finished_runs.write_run(tmp_path / "a", MODEL, states, finished_runs.initial_answer)
    rows = _rows(run)
    queries = [(state, query) for state in states for query in state.queries]
    assert len(rows) == len(queries) == 26 * 7
    for row, (state, query) in zip(rows, queries, strict=True):
        predicted = finished_runs.initial_contents(state.description)[query.box]
        assert (row["description"], row["box"]) == (state.description, query.box)
        assert (row["gold"], row["numops"]) == (list(query.gold), query.numops)
        by_op = row["numops_by_op"]
        assert isinstance(by_op, dict)
        assert (by_op["move"], by_op["remove"], by_op["put"]) == query.numops_by_op
        assert row["predicted"] == sorted(predicted)
        assert row["correct"] == (predicted == set(query.gold))
        assert row["correct_exact"] == row["correct"]  # statements have one order of objects
        assert row["operations"] == state.description.count(".") - 1
        assert row["sequence"] == state.sample_id
        assert row["text"] == finished_runs.initial_answer(state)
        assert row["error"] == (None if row["correct"] else "initial_contents")
        assert (row["last_change"] == "none") is (row["numops"] == 0)


def test_a_column_per_score(tmp_path: Path) -> None:
    """Objects in another order are right by ``correct`` and wrong by ``correct_exact``."""
    states = finished_runs.first_states(13)
    run = finished_runs.write_run(tmp_path / "a", MODEL, states, finished_runs.reversed_answer)
    rows = _rows(run)
    assert all(row["correct"] for row in rows)
    many_objects = [len(gold) > 1 for row in rows if isinstance(gold := row["gold"], list)]
    assert [not row["correct_exact"] for row in rows] == many_objects
    assert any(many_objects)


def test_run_columns(tmp_path: Path) -> None:
    """Model, data and settings come from the result; settings missing there are None."""
    states = finished_runs.first_states(1)
    run = finished_runs.write_run(tmp_path / "a", MODEL, states, finished_runs.correct_answer)
    row = _rows(run)[0]
    assert (row["run"], row["model"]) == ("Llama 2 7B", MODEL)
    assert (row["model_fingerprint"], row["data_sha256"]) == ("0123abcd", "d1")
    assert (row["protocol"], row["engine"], row["dtype"]) == ("default", "outlines", None)
    assert '"torch": "2.13.0"' in str(row["environment"])


def test_the_sequence_is_not_guessed(tmp_path: Path) -> None:
    """The sequence is None if predictions of an older version are in another order."""
    states = finished_runs.first_states(26)
    run = finished_runs.write_run(tmp_path / "a", MODEL, states, finished_runs.initial_answer)
    assert {row["sequence"] for row in _rows(_older(run))} == {None}


def test_two_runs_with_different_states(tmp_path: Path) -> None:
    """Each run has rows of its own states only."""
    states = finished_runs.first_states(26)
    folders: Sequence[Path] = [
        finished_runs.write_run(tmp_path / "a", MODEL, states[:20], finished_runs.correct_answer),
        finished_runs.write_run(tmp_path / "b", "x/y", states[10:], finished_runs.initial_answer),
    ]
    rows = _rows(*folders)
    first = {row["description"] for row in rows if row["run"] == "Llama 2 7B"}
    second = {row["description"] for row in rows if row["run"] == "y"}
    assert first == {state.description for state in states[:20]}
    assert second == {state.description for state in states[10:]}
    assert len(rows) == (20 + 16) * 7


def test_an_incomplete_answer(tmp_path: Path) -> None:
    """The prediction is None for a box without an answer, and an empty list for ``nothing``."""
    states = [parse_state(0, finished_runs.first_states(1)[0].description)]
    text = "Statement: Box 0 contains nothing, Box 1 contains the cup."
    run = finished_runs.write_run(tmp_path / "a", MODEL, states, lambda _: text)
    assert [row["predicted"] for row in _rows(run)] == [[], ["cup"], None, None, None, None, None]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a\ud800b", "a\ufffdb"), ("\x00\x1b\u202e", "\x00\x1b\u202e"), ("\U0001f4e6", "\U0001f4e6")],
)
def test_lone_surrogates_are_replaced(text: str, expected: str) -> None:
    """Lone surrogates are replaced; control characters and surrogate pairs are not."""
    assert valid_utf8(text) == expected
