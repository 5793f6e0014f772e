"""Runs in stores, read with their answers: damaged ones are refused."""

import json
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import DataError
from benchmark.reading.documents import read_json
from benchmark.reading.files import files_named
from benchmark.records import Outcome
from benchmark.runs.store.results import model_name
from benchmark.runs.store.run_identity import comparable
from benchmark.runs.store.stored_result import fields, read_result, text_field
from benchmark.scoring.predictions import StoredAnswer, read_answers
from benchmark.writing import is_present, is_unfinished

_AGAIN = "measure it again, or leave its folder out"


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run in a store.

    Attributes:
        path: its folder.
        identity: everything that it depends on, as ``run.json`` has it.
        answers: its answers by description, in the order of the file.
        finished: whether it has a result.
        outcomes: which queries its result has as right, by ``set``; none without a result.
    """

    path: Path
    identity: dict[str, object]
    answers: dict[str, StoredAnswer]
    finished: bool
    outcomes: tuple[Outcome, ...] = ()

    @property
    def model(self) -> str:
        """The identifier or path of its model."""
        return text_field(self.identity, self.path / "run.json", "model", "name")

    @property
    def hardware(self) -> str:
        """The name of the hardware that it was measured on."""
        path = self.path / "run.json"
        return text_field(self.identity, path, "environment", "hardware", "name")

    @property
    def key(self) -> str:
        """What is equal for the same measurement."""
        return json.dumps(comparable(self.identity), sort_keys=True)


def read_store(folder: Path) -> list[StoredRun]:
    """Return the runs in or below a folder, in the order of their paths.

    Raises:
        DataError: naming a file that is damaged or incomplete.
    """
    paths = sorted(path.parent for path in files_named("run.json", folder))
    return [read_run(path) for path in paths if not any(map(is_unfinished, (path, *path.parents)))]


def read_run(folder: Path) -> StoredRun:
    """Return the run in a folder.

    Raises:
        DataError: naming a file that is damaged or incomplete, or a result that contradicts itself.
    """
    predictions, result = folder / "predictions.jsonl", folder / "result.json"
    outcomes: tuple[Outcome, ...] = ()
    try:
        identity, finished = read_json(folder / "run.json"), is_present(result)
        if finished:
            document = read_json(result)
            scored = read_result(model_name(document, result), document, result)
            outcomes = scored.outcomes or ()
        answers = read_answers(predictions, growing=not finished) if is_present(predictions) else ()
    except DataError as error:
        raise DataError(f"{error}; {_AGAIN}") from error
    by_description = {one.description: one for one in answers}
    run = StoredRun(folder, identity, by_description, finished, outcomes)
    states = fields(identity, folder / "run.json", "data").get("states")
    text_field(identity, folder / "run.json", "model", "name")
    text_field(identity, folder / "run.json", "environment", "hardware", "name")
    if finished and len(answers) != states:
        raise DataError(
            f"{predictions}: {len(answers)} answers of a finished run of {states} states; {_AGAIN}"
        )
    return run
