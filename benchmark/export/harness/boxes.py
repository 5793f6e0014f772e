"""What a harness asks and how an answer counts: a document a state, an outcome a query."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypedDict

from benchmark.boxes.states import state_id
from benchmark.boxes.subsample import NUMOPS
from benchmark.errors import DataError
from benchmark.records import State
from benchmark.runs.data import load_states
from benchmark.runs.requests import DataRequest
from benchmark.scoring.outcomes import MAIN, SCORES
from benchmark.tasks import DEFAULT, Task, task_named

Queries = Sequence[Sequence[int]]
"""``(numops, 1 for right by each score)`` of each query of a state, box by box."""


class AccuracyGroup(NamedTuple):
    """An accuracy: by which score, and the numops of the queries that it is of."""

    by: str
    numops: range


_RANGES: Mapping[str, range] = {
    "": range(36),
    "_nontrivial": range(1, 36),
    **{f"_numops_{numops}": range(numops, numops + 1) for numops in NUMOPS},
}

GROUPS: Mapping[str, AccuracyGroup] = {
    f"{'acc' if by == MAIN else by}{name}": AccuracyGroup(by, numops)
    for by in SCORES
    for name, numops in _RANGES.items()
}
"""The accuracies by name: ``acc...`` by the main score, the others by their scores' names."""

_COLUMNS = {by: place for place, by in enumerate(SCORES, 1)}
"""Where a query has whether it is right by each score."""


class Document(TypedDict):
    """A state as a harness keeps it: what is asked, the correct answer, and where it is from."""

    id: str
    task: str
    sample_id: int
    description: str
    prompt: str
    answer: str


def documents(
    data: str | None = None,
    password: str | None = None,
    seed: int | None = None,
    states: int | None = None,
    split: str = "test",
    task: str = DEFAULT,
) -> list[Document]:
    """The states that ``run`` asks about with the same options, in its order.

    Raises:
        BenchmarkError: as ``run`` does.
    """
    request = DataRequest(Path(data) if data else None, password, seed, states, split, task)
    return [_document(task_named(task), state) for state in load_states(request)]


def queries(sample_id: int, description: str, text: str, task: str = DEFAULT) -> list[list[int]]:
    """How a text about a state is scored, by our scorer and every score."""
    known = task_named(task)
    judged = known.judge(known.state(description, sample_id), text)
    outcomes = [judged.outcomes[by] for by in _COLUMNS]
    columns = (outcome.correct for outcome in outcomes)
    rows = zip(outcomes[0].numops, *columns, strict=True)
    return [list(map(int, row)) for row in rows]


def accuracy(scored: Iterable[Queries], group: str) -> float:
    """The accuracy in 0..1 of a group of queries; NaN where there is none.

    Raises:
        DataError: when there is no such group.
    """
    if group not in GROUPS:
        raise DataError(f"no accuracy {group!r}; there are {', '.join(GROUPS)}")
    by, wanted = GROUPS[group]
    right = [query[_COLUMNS[by]] for state in scored for query in state if query[0] in wanted]
    return sum(right) / len(right) if right else float("nan")


def _document(task: Task, state: State) -> Document:
    return {
        "id": state_id(state.description),
        "task": task.name,
        "sample_id": state.sample_id,
        "description": state.description,
        "prompt": task.completion(state.description),
        "answer": task.correct_text(state),
    }
