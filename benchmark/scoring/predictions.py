"""Predictions as JSON lines ``{"input": description, "prediction": text}``, one per state."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from benchmark.errors import DataError
from benchmark.reading.documents import json_object
from benchmark.reading.files import read_lines
from benchmark.records import State


def prediction_line(description: str, text: str) -> str:
    """Return a prediction as a line, with its line end."""
    return json.dumps({"input": description, "prediction": text}) + "\n"


def read_predictions(path: Path, *, regular: bool = False) -> dict[str, str]:
    """Return the predicted texts by description.

    Args:
        path: the file.
        regular: whether a pipe or device is refused, as in the folder of a run.

    Raises:
        DataError: naming the line that is malformed or repeats a description.
    """
    predictions: dict[str, str] = {}
    for number, line in enumerate(read_lines(path, regular=regular), start=1):
        if line.strip():
            _add(predictions, line, f"{path}:{number}")
    return predictions


def holds_predictions(path: Path) -> bool:
    """Return whether the first line of a file is a prediction."""
    try:
        first = next(filter(str.strip, read_lines(path)), "")
        _add({}, first, str(path))
    except DataError:
        return False
    return True


def match(
    states: Iterable[State], predictions: dict[str, str], source: str, *, partial: bool
) -> Iterator[tuple[State, str]]:
    """Yield each state with its prediction; with ``partial``, only the states that have one.

    Raises:
        DataError: if a state has no prediction, or a prediction has no state.
    """
    unused = set(predictions)
    for state in states:
        unused.discard(state.description)
        if state.description in predictions:
            yield state, predictions[state.description]
        elif not partial:
            raise DataError(
                f"{source}: no prediction for {state.description[:60]!r}...; "
                "finish the run, or score the states that have one with --partial"
            )
    if unused:
        raise DataError(
            f"{source}: {len(unused)} predictions for states that are not in the gold data; "
            f"the first: {min(unused)[:60]!r}..."
        )


def check_finished(predictions: Iterable[str], states: Sequence[str], source: str) -> None:
    """Check that the predictions of a finished run are about its states, in their order.

    Args:
        predictions: the descriptions in the file, in its order, without duplicates.
        states: the descriptions of the data.
        source: names the file in errors.

    Raises:
        DataError: for a state without a prediction, and predictions in another order.
    """
    lines = list(predictions)
    remedy = (
        "a finished run was changed; restore the file, or remove result.json next to it and repeat "
        "the command"
    )
    present = set(lines)
    if missing := [description for description in states if description not in present]:
        raise DataError(
            f"{source}: {len(missing)} of {len(states)} states have no line, the first is "
            f"{missing[0][:60]!r}...: {remedy}"
        )
    for number, (line, state) in enumerate(zip(lines, states, strict=False), start=1):
        if line != state:
            raise DataError(f"{source}: prediction {number} is not about state {number}: {remedy}")


def check_known(predictions: Iterable[str], states: Iterable[str], source: str) -> None:
    """Check that every prediction is about one of the states.

    Raises:
        DataError: naming the first that is not.
    """
    descriptions = set(states)
    for number, description in enumerate(predictions, start=1):
        if description not in descriptions:
            raise DataError(
                f"{source}: prediction {number} is about no state of the data: "
                f"{description[:60]!r}...; remove the line"
            )


def _add(predictions: dict[str, str], line: str, where: str) -> None:
    row = json_object(line, where)
    description, text = row.get("input"), row.get("prediction")
    if not isinstance(description, str) or not isinstance(text, str):
        raise DataError(f"{where}: needs the fields 'input' and 'prediction', both text")
    if description in predictions:
        same = "the same" if predictions[description] == text else "another"
        raise DataError(
            f"{where}: a second line for the same input, with {same} prediction; remove one of them"
        )
    predictions[description] = text
