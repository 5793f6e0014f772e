"""Predictions as JSON lines ``{"input": description, "prediction": text}``, one per state.

``run`` adds ``token_ids``, the tokens of the text without the end of the sequence, and
``finished``, false if the token limit cut the text off. Runs of older versions and predictions of
other programs lack both.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import DataError
from benchmark.reading.documents import json_object
from benchmark.reading.files import read_lines
from benchmark.records import Completion, State, TokenIds

TOKEN_IDS, FINISHED = "token_ids", "finished"


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """A prediction with its tokens.

    ``token_ids`` and ``finished`` are None if the line lacks them.
    """

    description: str
    text: str
    token_ids: TokenIds | None
    finished: bool | None


def prediction_line(description: str, prediction: str | Completion) -> str:
    """Return a prediction as a line, with its line end; of a completion with its tokens."""
    if isinstance(prediction, str):
        return json.dumps({"input": description, "prediction": prediction}) + "\n"
    tokens = {TOKEN_IDS: prediction.token_ids, FINISHED: prediction.finished}
    return json.dumps({"input": description, "prediction": prediction.text, **tokens}) + "\n"


def answer_line(answer: StoredAnswer) -> str:
    """Return a prediction with its tokens as a line, with its line end."""
    if answer.token_ids is None or answer.finished is None:
        return prediction_line(answer.description, answer.text)
    completion = Completion(answer.token_ids, answer.text, answer.finished)
    return prediction_line(answer.description, completion)


def ordered_lines(path: Path, descriptions: Iterable[str]) -> list[str]:
    """Return the lines of a file in the order of these descriptions, each with its line end.

    Raises:
        DataError: if a line is malformed or a description has none.
    """
    lines = {
        _description(line, f"{path}:{number}"): line.rstrip("\n") + "\n"
        for number, line in enumerate(read_lines(path, regular=True), start=1)
        if line.strip()
    }
    order = list(descriptions)
    check_known(lines, order, str(path))
    if missing := [description for description in order if description not in lines]:
        raise DataError(f"{path}: no line about {missing[0][:60]!r}...; rerun to resume")
    return [lines[description] for description in order]


def read_answers(path: Path, *, growing: bool = False) -> list[StoredAnswer]:
    """Return the predictions of a run with their tokens, in the order of the file.

    Args:
        path: the file.
        growing: whether a last line without an end is left out: that of a run that is not finished.

    Raises:
        DataError: naming the line that is malformed or repeats a description.
    """
    texts, answers = dict[str, str](), list[StoredAnswer]()
    for number, line in enumerate(read_lines(path, regular=True), start=1):
        if line.strip() and not (growing and not line.endswith("\n")):
            where = f"{path}:{number}"
            row = json_object(line, where)
            description = _add(texts, row, where)
            tokens = (_token_ids(row, where), _finished(row, where))
            answers.append(StoredAnswer(description, texts[description], *tokens))
    return answers


def _description(line: str, where: str) -> str:
    return str(json_object(line, where).get("input"))


def _token_ids(row: Mapping[str, object], where: str) -> TokenIds | None:
    ids = row.get(TOKEN_IDS)
    if ids is None:
        return None
    if not isinstance(ids, list) or not all(type(i) is int and i >= 0 for i in ids):
        raise DataError(f"{where}: {TOKEN_IDS!r} must be a list of token ids")
    return tuple(ids)


def _finished(row: Mapping[str, object], where: str) -> bool | None:
    finished = row.get(FINISHED)
    if finished is not None and not isinstance(finished, bool):
        raise DataError(f"{where}: {FINISHED!r} must be true or false")
    return finished


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
            where = f"{path}:{number}"
            _add(predictions, json_object(line, where), where)
    return predictions


def holds_predictions(path: Path) -> bool:
    """Return whether the first line of a file is a prediction."""
    try:
        first = next(filter(str.strip, read_lines(path)), "")
        _add({}, json_object(first, str(path)), str(path))
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


def _add(predictions: dict[str, str], row: Mapping[str, object], where: str) -> str:
    """Add a row's text under its description, and return the description."""
    description, text = row.get("input"), row.get("prediction")
    if not isinstance(description, str) or not isinstance(text, str):
        raise DataError(f"{where}: needs the fields 'input' and 'prediction', both text")
    if description in predictions:
        same = "the same" if predictions[description] == text else "another"
        raise DataError(
            f"{where}: a second line for the same input, with {same} prediction; remove one of them"
        )
    predictions[description] = text
    return description
