"""Predictions as JSON lines ``{"input": description, "prediction": text}``, one per state."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmark.errors import DataError
from benchmark.reading import json_object, read_lines
from benchmark.records import State


def prediction_line(description: str, text: str) -> str:
    """Return a prediction as a line, with its line end."""
    return json.dumps({"input": description, "prediction": text}) + "\n"


def read_predictions(path: Path) -> dict[str, str]:
    """Return the predicted texts by description.

    Raises:
        DataError: naming the line that is malformed or repeats a description with another text.
    """
    predictions: dict[str, str] = {}
    for number, line in enumerate(read_lines(path), start=1):
        if line.strip():
            _add(predictions, line, f"{path}:{number}")
    return predictions


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


def _add(predictions: dict[str, str], line: str, where: str) -> None:
    row = json_object(line, where, unique=True)
    description, text = row.get("input"), row.get("prediction")
    if not isinstance(description, str) or not isinstance(text, str):
        raise DataError(f"{where}: needs the fields 'input' and 'prediction', both text")
    if predictions.setdefault(description, text) != text:
        raise DataError(f"{where}: a second, different prediction for the same input")
