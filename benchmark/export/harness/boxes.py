"""The task for evaluation harnesses: one document per state, one scored result per query."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypedDict

from benchmark.boxes.states import state_id
from benchmark.boxes.subsample import NUMOPS
from benchmark.errors import DataError
from benchmark.records import State
from benchmark.runs.data import load_states
from benchmark.runs.requests import data_request_of
from benchmark.scoring.outcomes import MAIN, SCORES
from benchmark.tasks import DEFAULT, Task, task_named

ScoredQueries = Sequence[Sequence[int]]
"""``(numops, 1 if right by each score)`` of each query of a state, by box."""


class AccuracyGroup(NamedTuple):
    """An accuracy: its score, and the numops of its queries."""

    score: str
    numops: range


_RANGES: Mapping[str, range] = {
    "": range(36),
    "_nontrivial": range(1, 36),
    **{f"_numops_{numops}": range(numops, numops + 1) for numops in NUMOPS},
}

GROUPS: Mapping[str, AccuracyGroup] = {
    f"{'acc' if score == MAIN else score}{name}": AccuracyGroup(score, numops)
    for score in SCORES
    for name, numops in _RANGES.items()
}
"""The accuracies by name: ``acc...`` by the main score; others begin with the score's name."""

_COLUMNS = {score: column for column, score in enumerate(SCORES, 1)}
"""The index in a scored query that says whether it is right by each score."""


class Document(TypedDict):
    """A state as a harness stores it: its prompt, its correct answer and its origin."""

    id: str
    task: str
    sample_id: int
    description: str
    prompt: str
    answer: str


def documents(data: str | None = None, **options: object) -> list[Document]:
    """Return the states that ``run`` uses with the same options, in the same order.

    Raises:
        BenchmarkError: as for ``run``.
    """
    request = data_request_of({"path": data or None, **options})
    return [_document(task_named(request.task), state) for state in load_states(request)]


def score_text(sample_id: int, description: str, text: str, task: str = DEFAULT) -> list[list[int]]:
    """Score a model's text about a state, by every score; return its scored queries."""
    boxes_task = task_named(task)
    judged = boxes_task.judge(boxes_task.state(description, sample_id), text)
    outcomes = [judged.outcomes[score] for score in _COLUMNS]
    columns = (outcome.correct for outcome in outcomes)
    rows = zip(outcomes[0].numops, *columns, strict=True)
    return [list(map(int, row)) for row in rows]


def accuracy(states: Iterable[ScoredQueries], group: str) -> float:
    """Return the accuracy in 0..1 of a group of queries; NaN if there are none.

    Raises:
        DataError: if there is no such group.
    """
    if group not in GROUPS:
        raise DataError(f"no accuracy {group!r}; choose one of {', '.join(GROUPS)}")
    score, numops = GROUPS[group]
    column = _COLUMNS[score]
    correct = [query[column] for state in states for query in state if query[0] in numops]
    return sum(correct) / len(correct) if correct else float("nan")


def _document(task: Task, state: State) -> Document:
    return {
        "id": state_id(state.description),
        "task": task.name,
        "sample_id": state.sample_id,
        "description": state.description,
        "prompt": task.completion(state.description),
        "answer": task.correct_text(state),
    }
