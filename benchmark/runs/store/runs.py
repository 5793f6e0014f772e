"""Read finished runs: result, predictions and the time of each."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from benchmark.hypotheses.results import Result
from benchmark.models.registry_types import RegisteredModel, Registry
from benchmark.models.short_name import last_part, short_name
from benchmark.reading.documents import read_json
from benchmark.runs.store.results import model_name, registered_model, result_files
from benchmark.runs.store.stored_result import read_result
from benchmark.scoring.predictions import read_predictions
from benchmark.writing import is_present


@dataclass(frozen=True, slots=True, eq=False)
class FinishedRun:
    """A run whose ``result.json`` is there.

    ``label`` is unique among the runs that were read together; ``model`` is the identifier or path
    and ``registered`` its entry in the registry, if any. ``document`` is the content of
    ``result.json``; ``texts`` has the predictions by description, and is empty if
    ``predictions.jsonl`` is missing.
    """

    label: str
    path: Path
    model: str
    registered: RegisteredModel | None
    result: Result
    document: Mapping[str, object]
    texts: Mapping[str, str]
    finished: datetime


def read_runs(folders: Iterable[Path], registry: Registry) -> list[FinishedRun]:
    """Return the runs in or below the folders, in order and without duplicates.

    Raises:
        DataError: when a folder has no result, or one was not written by ``run``.
    """
    files = (path for folder in folders for path in sorted(result_files(folder)))
    unique = {path.resolve(): path for path in files}
    return _with_unique_labels([_read(path, registry) for path in unique.values()])


def _read(path: Path, registry: Registry) -> FinishedRun:
    document = read_json(path)
    name = model_name(document, path)
    registered = registered_model(registry, document, path)
    predictions = path.with_name("predictions.jsonl")
    return FinishedRun(
        label=_label(registered) if registered else last_part(name) or short_name(str(path.parent)),
        path=path.parent,
        model=name,
        registered=registered,
        result=read_result((registered and registered.row) or name, document, path),
        document=document,
        texts=read_predictions(predictions, regular=True) if is_present(predictions) else {},
        finished=datetime.fromtimestamp(path.stat().st_mtime, UTC),
    )


def _label(model: RegisteredModel) -> str:
    """Return the model's name, with the repository if that is an alternative."""
    return f"{model.name} ({model.huggingface_id})" if model.alternative else model.name


def _with_unique_labels(runs: Sequence[FinishedRun]) -> list[FinishedRun]:
    """Add the folder's name to labels that occur more than once, then its path."""
    for part in (lambda run: run.path.name, lambda run: str(run.path)):
        counts = Counter(run.label for run in runs)
        runs = [
            replace(run, label=f"{run.label} ({part(run)})") if counts[run.label] > 1 else run
            for run in runs
        ]
    return list(runs)
