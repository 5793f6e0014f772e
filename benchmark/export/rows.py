"""Finished runs as rows, one a query: what was asked, what is right, and what the model said."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

from benchmark.boxes.states import state_id
from benchmark.records import Outcome, Query
from benchmark.report.data import Answered, StateView
from benchmark.runs.store.runs import FinishedRun
from benchmark.scoring.outcomes import MAIN

Row = dict[str, object]

_PROTOCOL = (
    *("engine", "prompt_format", "dtype", "quantization", "device"),
    *("batch_size", "max_new_tokens"),
)
"""Settings that have a column of their own, under the name that ``result.json`` gives them."""


def result_rows(runs: Sequence[FinishedRun], states: Iterable[StateView]) -> Iterator[Row]:
    """The rows of every run, state by state in the order of its predictions, box by box.

    Args:
        runs: with their predictions; runs without any have no row.
        states: what they were asked, each with an answer a run, in the same order.
    """
    by_description = {view.state.description: view for view in states}
    for number, run in enumerate(runs):
        views = [by_description[description] for description in run.texts]
        pairs = [(view, answer) for view in views if (answer := view.answers[number])]
        about = _about(run)
        for (view, answered), sequence in zip(pairs, _sequences(run, pairs), strict=True):
            yield from _of_state(about, view, answered, sequence)


def plain_text(text: str) -> str:
    """The text as UTF-8 can hold it: half a surrogate pair becomes a replacement character."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _of_state(about: Row, view: StateView, answered: Answered, sequence: int | None) -> list[Row]:
    state = view.state
    asked = {
        "state": state_id(state.description),
        "sequence": sequence,
        "operations": len(view.task.operations(state.description)[1]),
        "description": state.description,
    }
    said = zip(state.queries, answered.answer.contents, _right(answered), strict=True)
    return [
        {**about, **asked, **_query(query, contents), **right, "text": text}
        for text in (plain_text(answered.text),)
        for query, contents, right in said
    ]


def correct_column(by: str) -> str:
    """Return the column that says what is right by a score."""
    return "correct" if by == MAIN else f"correct_{by}"


def _right(answered: Answered) -> Iterator[Row]:
    """What is right of each query, a column per score."""
    names = list(map(correct_column, answered.outcomes))
    columns = (outcome.correct for outcome in answered.outcomes.values())
    return (dict(zip(names, rights, strict=True)) for rights in zip(*columns, strict=True))


def _query(query: Query, contents: frozenset[str] | None) -> Row:
    move, remove, put = query.numops_by_op
    return {
        "box": query.box,
        "numops": query.numops,
        "numops_by_op": {"move": move, "remove": remove, "put": put},
        "gold": list(query.gold),
        "predicted": None if contents is None else sorted(map(plain_text, contents)),
    }


def _about(run: FinishedRun) -> Row:
    """What is the same in all rows of a run; None where an older result does not say."""
    document, protocol = run.document, part(run.document, "protocol")
    return {
        "run": plain_text(run.label),
        "model": plain_text(run.model),
        "model_fingerprint": part(document, "model").get("fingerprint"),
        "data_sha256": part(document, "data").get("sha256"),
        "protocol": protocol.get("name"),
        **{name: protocol.get(name) for name in _PROTOCOL},
        "environment": json.dumps(part(document, "environment"), sort_keys=True),
    }


def part(document: Mapping[str, object], name: str) -> Mapping[str, object]:
    """The object of that name in a document; empty where there is none."""
    found = document.get(name)
    return found if isinstance(found, dict) else {}


def _sequences(
    run: FinishedRun, pairs: Sequence[tuple[StateView, Answered]]
) -> Sequence[int | None]:
    """The sequence of each state, the cluster of statistics; None where it cannot be told.

    A result has its sequences in the order of the data, as a finished run has its predictions.
    Where both tell the same outcomes, and states of a sequence the same beginning, they belong
    together; predictions in another order are not guessed about.
    """
    told: tuple[Outcome, ...] = run.result.outcomes or ()
    found = [(outcome.numops, outcome.correct) for outcome in told]
    if found != [(each.outcome.numops, each.outcome.correct) for _, each in pairs]:
        return [None] * len(pairs)
    starts = {
        (outcome.sample_id, view.state.description.partition(".")[0])
        for outcome, (view, _) in zip(told, pairs, strict=True)
    }
    if len(starts) > len({sample_id for sample_id, _ in starts}):
        return [None] * len(pairs)
    return [outcome.sample_id for outcome in told]
