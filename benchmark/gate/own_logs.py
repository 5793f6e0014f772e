"""Runs and predictions of this benchmark: every query of a state is a sample.

Queries of states with the same initial contents belong together: those of one sequence of
operations have them.
"""

from collections.abc import Iterator
from pathlib import Path

from benchmark.boxes.states import state_id
from benchmark.errors import DataError, LanguageError, RuleError, first_line
from benchmark.gate.samples import Sample, TaskLog, digest
from benchmark.reading.documents import read_json
from benchmark.runs.store.results import model_name
from benchmark.scoring.predictions import read_predictions
from benchmark.tasks import DEFAULT, Task, task_named, task_of

KIND = "entity-tracking"
RESULT, PREDICTIONS = "result.json", "predictions.jsonl"


def read(path: Path, cluster: str | None) -> dict[str, TaskLog]:
    """Return the task of a run's folder, or of a file of predictions.

    Raises:
        DataError: if a file is malformed, a prediction is about no state of the task, or a cluster
            is named: sequences are the clusters.
    """
    if cluster is not None:
        raise DataError(f"{path}: sequences are its clusters; leave out --cluster")
    predictions, task, model = path, task_named(DEFAULT), ""
    if path.is_dir():
        result = path / RESULT
        if not result.is_file():
            raise DataError(f"{path}: an unfinished run; finish it, or name {PREDICTIONS}")
        document = read_json(result)
        predictions, task = path / PREDICTIONS, task_of(document, str(result))
        model = model_name(document, result)
    samples = [
        sample
        for description, text in read_predictions(predictions).items()
        for sample in _samples(task, description, text, str(predictions))
    ]
    names = {name for sample in samples for name in sample.metrics}
    return {task.name: TaskLog(samples, dict.fromkeys(names, True), model=model)}


def _samples(task: Task, description: str, text: str, where: str) -> Iterator[Sample]:
    try:
        state = task.state(description)
    except (LanguageError, RuleError) as error:
        raise DataError(
            f"{where}: {description[:60]!r}... is no state of {task.name}: {first_line(error)}"
        ) from error
    judged = task.judge(state, text)
    cluster = digest(description.partition(".")[0])
    for number, query in enumerate(state.queries):
        right = {by: float(o.correct[number]) for by, o in judged.outcomes.items()}
        yield Sample(f"{state_id(description)}/{query.box}", right, cluster=cluster)
