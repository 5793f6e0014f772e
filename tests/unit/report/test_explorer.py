"""States and answers as the page reads them."""

import json
from types import ModuleType
from typing import Any

import pytest

from benchmark.boxes.states import state_id
from benchmark.report.data import ReportData
from benchmark.report.explorer import explorer
from benchmark.report.templates import script_json


@pytest.fixture
def document(material: ReportData) -> Any:  # noqa: ANN401  # as a browser reads it
    """The document, written into a page and read back."""
    return json.loads(str(script_json(explorer(material.runs, material.states))))


def test_states(document: Any, finished_runs: ModuleType) -> None:  # noqa: ANN401
    """Identifier, initial state, operations, gold and numops are those of the description."""
    gold = {state_id(s.description): s for s in finished_runs.some_states(60)}
    assert len(document["states"]) == len(gold) == 60

    def words(numbers: list[int]) -> tuple[str, ...]:
        return tuple(document["words"][number] for number in numbers)

    for name, initial, operations, contents, numops in document["states"]:
        state = gold[name]
        clauses = [
            f"Box {box} contains {' and '.join(f'the {w}' for w in words(each)) or 'nothing'}"
            for box, each in enumerate(initial)
        ]
        told = " ".join([", ".join(clauses) + ".", *(text for text, _ in operations)])
        assert told == state.description
        assert [words(each) for each in contents] == [query.gold for query in state.queries]
        assert numops == "".join(str(query.numops) for query in state.queries)
        for text, boxes in operations:
            assert [box for box in range(7) if f"Box {box}" in text] == sorted(boxes)


def test_answers(document: Any, material: ReportData, hostile: str) -> None:  # noqa: ANN401
    """An answer has its text as it was, its outcomes by both scores, and its contents by box."""
    for run, answers in enumerate(document["answers"]):
        for answer, view in zip(answers, material.states, strict=True):
            text, outcomes, contents, exact = answer
            given = view.answers[run]
            assert given
            assert document["texts"][text] == given.text
            assert [each == "1" for each in outcomes] == list(given.outcomes["set"].correct)
            assert [each == "1" for each in exact] == list(given.outcomes["exact"].correct)
            for said, numbers in zip(given.answer.contents, contents, strict=True):
                assert (said is None) == (numbers is None)
                if said is not None:
                    assert {document["words"][number] for number in numbers} == said
    assert hostile in document["texts"]


def test_a_run_that_was_not_asked(material: ReportData) -> None:
    """A state that a run was not asked about has no answer of it."""
    view = material.states[0]
    partly = type(view)(view.task, view.state, (view.answers[0], None, None))
    document = explorer(material.runs, [partly])
    assert document["answers"][1:] == [[None], [None]]  # type: ignore[index]


def test_each_text_once(material: ReportData, document: Any) -> None:  # noqa: ANN401
    """Words and texts are not repeated, which keeps the page small."""
    assert len(set(document["texts"])) == len(document["texts"])
    assert len(set(document["words"])) == len(document["words"])
    texts = {a.text for view in material.states for a in view.answers if a}
    assert set(document["texts"]) == texts
