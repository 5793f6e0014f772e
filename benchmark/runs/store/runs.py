"""Finished runs with all that is in their folders: result, predictions, and when."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from benchmark.hypotheses.results import Result
from benchmark.models.registry_types import RegisteredModel, Registry
from benchmark.reading import read_json
from benchmark.runs.store.results import known_model, model_name, read_result, result_files
from benchmark.scoring.predictions import read_predictions


@dataclass(frozen=True, slots=True, eq=False)
class FinishedRun:
    """A run whose ``result.json`` is there.

    ``label`` tells it from the other runs read with it; ``model`` is what was asked for and
    ``registered`` its entry in the registry, as loaded from that repository. ``document`` is the
    whole result, ``texts`` the predictions by description, empty where ``predictions.jsonl`` is not
    beside the result.
    """

    label: str
    path: Path
    model: str
    registered: RegisteredModel | None
    result: Result
    document: Mapping[str, object]
    texts: Mapping[str, str]
    finished: datetime


def read_runs(folders: Iterable[Path], known: Registry) -> list[FinishedRun]:
    """The runs in or below the folders, in their order, each once.

    Raises:
        DataError: when a folder has no result, or one is not what ``run`` writes.
    """
    files = (path for folder in folders for path in sorted(result_files(folder)))
    unique = {path.resolve(): path for path in files}
    return _told_apart([_read(path, known) for path in unique.values()])


def _read(path: Path, known: Registry) -> FinishedRun:
    document = read_json(path)
    name = model_name(document, path)
    registered = known_model(known, document, path)
    predictions = path.with_name("predictions.jsonl")
    return FinishedRun(
        label=_label(registered) if registered else Path(name).name,
        path=path.parent,
        model=name,
        registered=registered,
        result=read_result((registered and registered.row) or name, document, path),
        document=document,
        texts=read_predictions(predictions) if predictions.exists() else {},
        finished=datetime.fromtimestamp(path.stat().st_mtime, UTC),
    )


def _label(model: RegisteredModel) -> str:
    """The model's name, and where it is loaded from if that is an alternative."""
    return f"{model.name} ({model.huggingface_id})" if model.alternative else model.name


def _told_apart(runs: Sequence[FinishedRun]) -> list[FinishedRun]:
    """The runs with labels that differ: by their folders where the model is the same."""
    for part in (lambda run: run.path.name, lambda run: str(run.path)):
        often = Counter(run.label for run in runs)
        runs = [
            replace(run, label=f"{run.label} ({part(run)})") if often[run.label] > 1 else run
            for run in runs
        ]
    return list(runs)
