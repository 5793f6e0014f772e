"""Finished runs as rows, one per query: the question, the answer and the scores."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

from benchmark.boxes.histories import BoxHistory
from benchmark.boxes.states import state_id
from benchmark.records import Query
from benchmark.report.data import ScoredAnswer, StateView
from benchmark.report.run_errors import sequences
from benchmark.runs.store.runs import FinishedRun
from benchmark.scoring.error_types import BY_CODE, RIGHT
from benchmark.scoring.outcomes import MAIN

ResultRow = dict[str, object]

_PROTOCOL_COLUMNS = (
    *("engine", "prompt_format", "dtype", "quantization", "device"),
    *("batch_size", "max_new_tokens"),
)
"""Settings with a column of their own, named as in ``result.json``."""


def result_rows(runs: Sequence[FinishedRun], states: Iterable[StateView]) -> Iterator[ResultRow]:
    """Yield the rows of every run, by state in the order of its predictions and by box.

    Args:
        runs: runs with their predictions; a run without predictions has no rows.
        states: the states of the predictions, each with one answer per run, in run order.
    """
    by_description = {view.state.description: view for view in states}
    for number, run in enumerate(runs):
        views = [by_description[description] for description in run.texts]
        pairs = [(view, answer) for view in views if (answer := view.answers[number])]
        run_columns = _run_columns(run)
        for (view, answer), sequence in zip(pairs, sequences(run, pairs), strict=True):
            yield from _state_rows(run_columns, view, answer, sequence)


def valid_utf8(text: str) -> str:
    """Replace lone surrogates, which UTF-8 cannot encode, by a replacement character."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _state_rows(
    run_columns: ResultRow, view: StateView, answer: ScoredAnswer, sequence: int | None
) -> list[ResultRow]:
    state = view.state
    state_columns = {
        "state": state_id(state.description),
        "sequence": sequence,
        "operations": len(view.task.operations(state.description)[1]),
        "description": state.description,
    }
    text = valid_utf8(answer.text)
    queries = zip(state.queries, answer.answer.contents, _correct(answer), strict=True)
    errors = map(_error_columns, view.history.boxes, answer.codes)
    return [
        {
            **run_columns,
            **state_columns,
            **_query_columns(query, contents),
            **correct,
            **error,
            "text": text,
        }
        for (query, contents, correct), error in zip(queries, errors, strict=True)
    ]


def correct_column(score: str) -> str:
    """Return the column that says whether a query is right by a score."""
    return "correct" if score == MAIN else f"correct_{score}"


def _correct(answer: ScoredAnswer) -> Iterator[ResultRow]:
    """Yield whether each query is right, with one column per score."""
    names = list(map(correct_column, answer.outcomes))
    by_score = (outcome.correct for outcome in answer.outcomes.values())
    return (dict(zip(names, correct, strict=True)) for correct in zip(*by_score, strict=True))


def _query_columns(query: Query, contents: frozenset[str] | None) -> ResultRow:
    move, remove, put = query.numops_by_op
    return {
        "box": query.box,
        "numops": query.numops,
        "numops_by_op": {"move": move, "remove": remove, "put": put},
        "gold": list(query.gold),
        "predicted": None if contents is None else sorted(map(valid_utf8, contents)),
    }


def _error_columns(box: BoxHistory, code: str) -> ResultRow:
    """Return the type of error, None for a right answer, and the operations before the query."""
    return {
        "error": None if code == RIGHT else BY_CODE[code].name,
        "last_change": box.last_change,
        "last_operation": box.last,
    }


def _run_columns(run: FinishedRun) -> ResultRow:
    """Return the columns that are equal in all rows of a run; None if an older result has none."""
    document, protocol = run.document, section(run.document, "protocol")
    return {
        "run": valid_utf8(run.label),
        "model": valid_utf8(run.model),
        "model_fingerprint": section(document, "model").get("fingerprint"),
        "data_sha256": section(document, "data").get("sha256"),
        "protocol": protocol.get("name"),
        **{name: protocol.get(name) for name in _PROTOCOL_COLUMNS},
        "environment": json.dumps(section(document, "environment"), sort_keys=True),
    }


def section(document: Mapping[str, object], name: str) -> Mapping[str, object]:
    """Return the JSON object of that name in a document; empty if there is none."""
    value = document.get(name)
    return value if isinstance(value, dict) else {}
