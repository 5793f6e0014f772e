"""Scoring the predictions of a stored result again."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.boxes.baseline import baselines
from benchmark.hypotheses.results import Result
from benchmark.models.registry import registry
from benchmark.records import State, Tally
from benchmark.runs.store.results import read_results
from benchmark.scoring.counts import count
from benchmark.stats.summary import Scored, scores_as_json
from benchmark.tasks import DEFAULT, task_named
from fakes import finished_runs

TASK = task_named(DEFAULT)

MODEL = "meta-llama/Llama-2-7b-hf"

Read = Callable[..., Result]


def _unsorted(state: State) -> str:
    """Return the correct answer with objects in reverse order: right by set, wrong by exact."""
    clauses = [
        f"Box {query.box} contains "
        + (" and ".join(f"the {name}" for name in reversed(query.gold)) or "nothing")
        for query in state.queries
    ]
    return f"Statement: {', '.join(clauses)}."


@pytest.fixture
def states() -> list[State]:
    """All states of two sequences."""
    sampled: list[State] = finished_runs.first_states(26)
    return sampled


def _older(document: dict[str, object]) -> dict[str, object]:
    """Return the document as older versions wrote it, with one score and one reading."""
    baseline = document["baseline"]
    assert isinstance(baseline, dict)
    rest = {name: part for name, part in document.items() if name != "exact"}
    return {**rest, "baseline": baseline["mentions"]}


@pytest.fixture
def read(tmp_path: Path, states: list[State]) -> Read:
    """``read(change, answers, alone=True, **settings)``: the result of a run, as changed.

    ``alone`` takes the predictions away.
    """

    def create(
        change: Callable[[dict[str, object]], Mapping[str, object]] = _older,
        answers: Callable[[State], str] = _unsorted,
        *,
        alone: bool = False,
        **settings: object,
    ) -> Result:
        folder: Path = finished_runs.write_run(tmp_path / "run", MODEL, states, answers, **settings)
        path = folder / "result.json"
        path.write_text(json.dumps(change(json.loads(path.read_text()))))
        if alone:
            (folder / "predictions.jsonl").unlink()
        return _entry(tmp_path)

    return create


def _entry(folder: Path) -> Result:
    (entry,) = read_results(folder, registry()).entries
    return entry


def _by_numops(states: list[State], by: str) -> Mapping[int, Tally]:
    return count(TASK.outcomes(states, [_unsorted(state) for state in states])[by]).by_numops


def test_older_result_is_completed_from_its_predictions(read: Read, states: list[State]) -> None:
    """Outcomes by exact and the baseline's readings are computed from states and texts."""
    result = read()
    exact = result.by("exact")
    assert exact is not None
    expected = TASK.outcomes(states, [_unsorted(state) for state in states])
    assert result.outcomes == expected["set"]
    assert exact.by_numops == count(expected["exact"]).by_numops != result.by_numops
    # States with the same numops and outcomes may be confused.
    assert exact.outcomes is not None
    assert [outcome.sample_id for outcome in exact.outcomes] == [s.sample_id for s in states]
    for score, scored in (("set", result), ("exact", exact)):
        by_numops = baselines(states)[score]["by_numops"]
        assert {str(n): 100 * rate for n, rate in scored.chance.items()} == pytest.approx(by_numops)
    assert result.note == ""


def test_predictions_in_the_order_of_the_states(
    read: Read, states: list[State], tmp_path: Path
) -> None:
    """Predictions and outcomes of a finished run are in the order of its states."""
    read()
    exact = _entry(tmp_path).by("exact")
    assert exact is not None
    assert exact.outcomes == TASK.outcomes(states, [_unsorted(state) for state in states])["exact"]


def test_current_result_needs_no_predictions(read: Read, states: list[State]) -> None:
    """Both scores and all baselines are read from the document."""
    result = read(dict, alone=True)
    exact = result.by("exact")
    assert exact is not None
    assert (result.by_numops, exact.by_numops) == (
        _by_numops(states, "set"),
        _by_numops(states, "exact"),
    )
    assert result.chance != exact.chance
    assert result.note == ""


def test_older_result_without_predictions(read: Read, tmp_path: Path) -> None:
    """It has only the set score and the old baseline, with a note."""
    result = read(alone=True)
    assert result.by("exact") is None
    document = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result.chance[0] == pytest.approx(document["baseline"]["by_numops"]["0"] / 100)
    assert "only the set score is available" in result.note
    assert result.note.endswith("no predictions.jsonl in its folder")


def test_predictions_of_another_result_are_not_used(read: Read, tmp_path: Path) -> None:
    """Predictions with other set outcomes in another order are ignored, with a note."""
    read()
    path = tmp_path / "run" / "predictions.jsonl"
    first, *rest = path.read_text().splitlines(keepends=True)[::-1]
    line = json.dumps({**json.loads(first), "prediction": "Statement: Box 0 contains the sea."})
    for lines in ([f"{line}\n", *rest], rest, []):
        path.write_text("".join(lines))
        result = _entry(tmp_path)
        assert result.by("exact") is None
        assert "does not lead to its result" in result.note


def test_changed_rules_keep_the_stored_set_score(
    read: Read, states: list[State], tmp_path: Path
) -> None:
    """Exact is computed for an older result even if today's rules score it differently by set.

    One box was scored as wrong, as ``is empty`` used to be in unconstrained text.
    """
    answers = [_unsorted(state).replace("contains nothing", "is empty") for state in states]
    now = TASK.outcomes(states, answers)
    first = now["set"][0]
    assert first.correct[0]
    before = (replace(first, correct=(False, *first.correct[1:])), *now["set"][1:])

    def older(document: dict[str, object]) -> dict[str, object]:
        return {**_older(document), **scores_as_json({"set": Scored.of(before)})}

    texts = dict(zip(states, answers, strict=True))
    read(older, texts.__getitem__, protocol=FREE)
    result = _entry(tmp_path)
    exact, kept = result.by("exact"), result.by("format")
    assert exact is not None
    assert kept is not None
    assert (result.outcomes, exact.outcomes) == (before, now["exact"])
    assert exact.chance != result.chance
    assert exact.by("format") is not None
    assert "set is as stored, exact and random are computed from predictions.jsonl" in result.note
    assert f"where 1 of {len(states)} answers would now be scored differently" in result.note


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"input": "once upon a time", "prediction": "x"}', "predictions.jsonl: "),
        (b"{", "predictions.jsonl:1: not JSON"),
        (b"[]", "predictions.jsonl:1: not a JSON object"),
        (b"\xff", "cannot be read"),
    ],
)
def test_unreadable_predictions_are_a_note(
    read: Read, tmp_path: Path, line: bytes, words: str
) -> None:
    """The set score is in the result, so unreadable predictions are a note, not an error."""
    expected = read().outcomes
    (tmp_path / "run" / "predictions.jsonl").write_bytes(line + b"\n")
    result = _entry(tmp_path)
    assert (result.outcomes, result.by("exact")) == (expected, None)
    assert "only the set score is available" in result.note
    assert words in result.note


def test_current_result_with_unreadable_predictions(read: Read, tmp_path: Path) -> None:
    """An unconstrained result lacks only the format."""
    read(dict, protocol=FREE)
    (tmp_path / "run" / "predictions.jsonl").write_text("{\n")
    result = _entry(tmp_path)
    assert result.by("exact") is not None
    assert result.by("format") is None
    assert "keep the format is unknown" in result.note
    assert "not JSON" in result.note


FREE = {"engine": "unconstrained", "prompt_format": "completion"}


def test_an_unconstrained_result_says_which_answers_keep_the_format(
    read: Read, states: list[State]
) -> None:
    """``format`` has one query per state, right if every box is answered in the format."""

    def answer(state: State) -> str:
        text = _unsorted(state)
        return text if len(state.description) % 2 else text.replace("Box 5 contains", "Box 5 has")

    complete = [len(state.description) % 2 == 1 for state in states]
    result = read(dict, answer, protocol=FREE)
    kept = result.by("format")
    assert kept is not None
    assert kept.by_numops == {0: Tally(sum(complete), len(states))}
    assert result.by("exact") is not None


def test_a_constrained_result_says_nothing_of_the_format(read: Read) -> None:
    """The constraint keeps the format: nothing is learned of the model."""
    assert read(dict).by("format") is None


def test_an_unconstrained_result_without_predictions_says_so(read: Read) -> None:
    """Whether the format is kept is in no document."""
    result = read(dict, alone=True, protocol=FREE)
    assert result.by("format") is None
    assert "keep the format is unknown" in result.note
