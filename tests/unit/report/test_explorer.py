"""The data of the page's explorer."""

import json
from typing import Any

import pytest

from benchmark.boxes.states import state_id
from benchmark.report.data import ReportData
from benchmark.report.explorer import explorer
from benchmark.report.templates import script_json
from fakes import finished_runs


@pytest.fixture
def document(report: ReportData) -> Any:  # noqa: ANN401  # as a browser reads it
    """Return the explorer's data, written into a page and read back."""
    return json.loads(str(script_json(explorer(report.runs, report.states))))


def test_states(document: Any) -> None:  # noqa: ANN401
    """Identifier, initial state, operations, gold and numops match the description."""
    gold = {state_id(s.description): s for s in finished_runs.first_states(60)}
    assert len(document["states"]) == len(gold) == 60

    def words(numbers: list[int]) -> tuple[str, ...]:
        return tuple(document["words"][number] for number in numbers)

    for name, initial, operations, contents, numops in document["states"]:
        state = gold[name]
        clauses = [
            f"Box {box} contains {' and '.join(f'the {w}' for w in words(indices)) or 'nothing'}"
            for box, indices in enumerate(initial)
        ]
        description = " ".join([", ".join(clauses) + ".", *(text for text, _ in operations)])
        assert description == state.description
        assert [words(indices) for indices in contents] == [q.gold for q in state.queries]
        assert numops == "".join(str(query.numops) for query in state.queries)
        for text, boxes in operations:
            assert [box for box in range(7) if f"Box {box}" in text] == sorted(boxes)


def test_answers(document: Any, report: ReportData, hostile: str) -> None:  # noqa: ANN401
    """An answer has its unchanged text, its outcomes by both scores, and its contents by box."""
    for run, answers in enumerate(document["answers"]):
        for answer, view in zip(answers, report.states, strict=True):
            text, outcomes, contents, exact, codes = answer
            assert [code == "." for code in codes] == [digit == "1" for digit in outcomes]
            assert set(codes) <= {".", *document["errors"]}
            expected = view.answers[run]
            assert expected
            assert document["texts"][text] == expected.text
            assert [digit == "1" for digit in outcomes] == list(expected.outcomes["set"].correct)
            assert [digit == "1" for digit in exact] == list(expected.outcomes["exact"].correct)
            for objects, indices in zip(expected.answer.contents, contents, strict=True):
                assert (objects is None) == (indices is None)
                if objects is not None:
                    assert {document["words"][index] for index in indices} == objects
    assert hostile in document["texts"]


def test_a_state_without_an_answer(report: ReportData) -> None:
    """The answer of a run that has no such state is null."""
    view = report.states[0]
    partial = type(view)(view.task, view.state, view.history, (view.answers[0], None, None))
    document = explorer(report.runs, [partial])
    assert document["answers"][1:] == [[None], [None]]  # type: ignore[index]


def test_no_duplicate_texts(report: ReportData, document: Any) -> None:  # noqa: ANN401
    """Each word and text is stored once, which keeps the page small."""
    assert len(set(document["texts"])) == len(document["texts"])
    assert len(set(document["words"])) == len(document["words"])
    texts = {a.text for view in report.states for a in view.answers if a}
    assert set(document["texts"]) == texts
