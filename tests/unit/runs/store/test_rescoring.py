"""What the predictions beside a result add to it: scores, baseline and format."""

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
    """Right, but every box's objects the other way round: right by set, wrong by exact."""
    clauses = [
        f"Box {query.box} contains "
        + (" and ".join(f"the {name}" for name in reversed(query.gold)) or "nothing")
        for query in state.queries
    ]
    return f"Statement: {', '.join(clauses)}."


@pytest.fixture
def states() -> list[State]:
    """Two whole sequences."""
    found: list[State] = finished_runs.first_states(26)
    return found


def _older(document: dict[str, object]) -> dict[str, object]:
    """The document as it was before there were two scores and readings."""
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


def test_an_older_result_gets_what_it_lacks_from_its_predictions(
    read: Read, states: list[State]
) -> None:
    """Outcomes by exact and the baseline's readings are those of the states and texts."""
    result = read()
    exact = result.by("exact")
    assert exact is not None
    expected = TASK.outcomes(states, [_unsorted(state) for state in states])
    assert result.outcomes == expected["set"]
    assert exact.by_numops == count(expected["exact"]).by_numops != result.by_numops
    # States that are alike in numops and in what is right may be taken for each other.
    assert exact.outcomes is not None
    assert [each.sample_id for each in exact.outcomes] == [s.sample_id for s in states]
    for score, each in (("set", result), ("exact", exact)):
        by_numops = baselines(states)[score]["by_numops"]
        assert {str(n): 100 * rate for n, rate in each.chance.items()} == pytest.approx(by_numops)
    assert result.note == ""


def test_predictions_in_the_order_of_the_states_give_each_its_own(
    read: Read, states: list[State], tmp_path: Path
) -> None:
    """A finished run's predictions are in the order of its states, and so are its outcomes."""
    read()
    path = tmp_path / "run" / "predictions.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[::-1]))
    exact = _entry(tmp_path).by("exact")
    assert exact is not None
    assert exact.outcomes == TASK.outcomes(states, [_unsorted(state) for state in states])["exact"]


def test_a_result_of_now_needs_no_predictions(read: Read, states: list[State]) -> None:
    """Both scores and all baselines are in the document."""
    result = read(dict, alone=True)
    exact = result.by("exact")
    assert exact is not None
    assert (result.by_numops, exact.by_numops) == (
        _by_numops(states, "set"),
        _by_numops(states, "exact"),
    )
    assert result.chance != exact.chance
    assert result.note == ""


def test_without_predictions_only_set_is_known(read: Read, tmp_path: Path) -> None:
    """An older result alone has the set score and the baseline of its time, and says so."""
    result = read(alone=True)
    assert result.by("exact") is None
    document = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result.chance[0] == pytest.approx(document["baseline"]["by_numops"]["0"] / 100)
    assert "only the set score is known" in result.note
    assert result.note.endswith("no predictions.jsonl beside it")


def test_predictions_that_lead_elsewhere_are_not_taken(read: Read, tmp_path: Path) -> None:
    """With other set outcomes, and in another order, they say nothing, and a line says why."""
    read()
    path = tmp_path / "run" / "predictions.jsonl"
    first, *rest = path.read_text().splitlines(keepends=True)
    line = json.dumps({**json.loads(first), "prediction": "Statement: Box 0 contains the sea."})
    for lines in ([f"{line}\n", *rest], rest, []):
        path.write_text("".join(lines))
        result = _entry(tmp_path)
        assert result.by("exact") is None
        assert "leads to another result" in result.note


def test_what_changed_rules_score_otherwise_keeps_its_set(
    read: Read, states: list[State], tmp_path: Path
) -> None:
    """In the order of the states exact is known of an older result that set now counts otherwise.

    Here one box counted as wrong, as a box that ``is empty`` did in unconstrained text.
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
    path = tmp_path / "run" / "predictions.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[::-1]))
    result = _entry(tmp_path)
    exact, kept = result.by("exact"), result.by("format")
    assert exact is not None
    assert kept is not None
    assert (result.outcomes, exact.outcomes) == (before, now["exact"])
    assert exact.chance != result.chance
    assert exact.by("format") is not None
    assert "set is as stored, exact and random from its predictions.jsonl" in result.note
    assert f"of which 1 of {len(states)} answers would now be scored otherwise" in result.note


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"input": "once upon a time", "prediction": "x"}', "predictions.jsonl: "),
        (b"{", "predictions.jsonl:1: not JSON"),
        (b"[]", "predictions.jsonl:1: not a JSON object"),
        (b"\xff", "cannot be read"),
    ],
)
def test_predictions_that_cannot_be_read_leave_the_set_score(
    read: Read, tmp_path: Path, line: bytes, words: str
) -> None:
    """The set score is in the result, so unreadable predictions are a note, not an error."""
    expected = read().outcomes
    (tmp_path / "run" / "predictions.jsonl").write_bytes(line + b"\n")
    result = _entry(tmp_path)
    assert (result.outcomes, result.by("exact")) == (expected, None)
    assert "only the set score is known" in result.note
    assert words in result.note


def test_a_result_of_now_without_readable_predictions_keeps_its_scores(
    read: Read, tmp_path: Path
) -> None:
    """Of an unconstrained result only the format is lost."""
    read(dict, protocol=FREE)
    (tmp_path / "run" / "predictions.jsonl").write_text("{\n")
    result = _entry(tmp_path)
    assert result.by("exact") is not None
    assert result.by("format") is None
    assert "keep the format is not known" in result.note
    assert "not JSON" in result.note


FREE = {"engine": "unconstrained", "prompt_format": "completion"}


def test_an_unconstrained_result_says_which_answers_keep_the_format(
    read: Read, states: list[State]
) -> None:
    """By ``format`` there is a query per state, right where every box is there as asked for."""

    def answer(state: State) -> str:
        text = _unsorted(state)
        return text if len(state.description) % 2 else text.replace("Box 5 contains", "Box 5 has")

    whole = [len(state.description) % 2 == 1 for state in states]
    result = read(dict, answer, protocol=FREE)
    kept = result.by("format")
    assert kept is not None
    assert kept.by_numops == {0: Tally(sum(whole), len(states))}
    assert result.by("exact") is not None


def test_a_constrained_result_says_nothing_of_the_format(read: Read) -> None:
    """The constraint keeps the format: nothing is learned of the model."""
    assert read(dict).by("format") is None


def test_an_unconstrained_result_without_predictions_says_so(read: Read) -> None:
    """Whether the format is kept is in no document."""
    result = read(dict, alone=True, protocol=FREE)
    assert result.by("format") is None
    assert "keep the format is not known" in result.note
