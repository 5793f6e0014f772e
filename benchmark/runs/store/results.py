"""Read the results of finished runs: every ``result.json`` in or below a folder."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from benchmark.errors import DataError
from benchmark.hypotheses.results import (
    EvaluationSetting,
    Result,
    Results,
)
from benchmark.models.digests import is_local
from benchmark.models.registry_types import RegisteredModel, Registry
from benchmark.reading.documents import read_json
from benchmark.reading.files import files_named
from benchmark.runs.store.stored_result import read_result, text_field
from benchmark.tasks import DEFAULT, task_of


def read_results(folder: Path, registry: Registry) -> Results:
    """Return the results in or below a folder, of registered models.

    A result belongs to a registered model if it has the model's identifier, or if its folder or
    file has the name of a registry key. A result of an alternative repository belongs to the
    published row that the alternative names. Of several results of a model in the same setting on
    the same data, the newest from the default repository counts, else the newest. The results that
    are left out are listed in ``ignored``, with the reason.

    Raises:
        DataError: when there is no result, or one was not written by ``run``.
    """
    return results_of(result_files(folder), registry)


def result_files(folder: Path) -> list[Path]:
    """Return every ``result.json`` in or below the folder, the oldest first.

    Raises:
        DataError: when the folder has no result.
        OSError: naming it, if a folder or a result's link cannot be followed.
    """
    paths = sorted(files_named("result.json", folder), key=_age)
    if not paths:
        raise DataError(
            f"{folder}: no result.json in or below it; measure with: run --out {folder}/NAME"
        )
    return paths


def unfinished_runs(folder: Path) -> list[Path]:
    """Return the folders of runs without a result in or below the folder, in order."""
    folders = (path.parent for path in sorted(files_named("run.json", folder)))
    return [path for path in folders if not (path / "result.json").exists()]


def results_of(paths: Iterable[Path], registry: Registry) -> Results:
    """Return the results of these files; see :func:`read_results`."""
    ignored: list[str] = []
    results: list[Result] = []
    for path in sorted(paths, key=_age):
        result = _registered_result(registry, path)
        if isinstance(result, Result):
            results.append(result)
        else:
            ignored.append(result)
    entries: dict[tuple[str, EvaluationSetting, str], Result] = {}
    for result in sorted(results, key=lambda result: result.alternative is None):
        key = (result.model, result.setting, result.data)
        if key in entries:  # measured again, with other libraries or another batch
            ignored.append(_superseded(entries[key], result, registry))
        entries[key] = result
    return Results(tuple(entries.values()), registry, tuple(ignored))


def _registered_result(registry: Registry, path: Path) -> Result | str:
    """Return the result in a file, or the reason why it is left out."""
    document = read_json(path)
    name = model_name(document, path)
    model = registered_model(registry, document, path)
    if model is None:
        return f"{path}: {name}"
    if model.row is None:
        return f"{path}: {name}, an alternative to {model.key} without a published row"
    if (task := task_of(document, str(path)).name) != DEFAULT:
        return f"{path}: {name} on the task {task}; the paper's task is {DEFAULT}"
    if changed := _changed_prompt_settings(document):
        return f"{path}: {name} with {changed}; only runs with the default prompt are compared"
    result = read_result(model.row, document, path)
    return replace(result, alternative=name if model.alternative else None)


_PROMPT = ("prompt_variant", "bos", "instruction_role")
"""The prompt settings that a run may change from its protocol's."""


def _changed_prompt_settings(document: Mapping[str, object]) -> str:
    """Return the prompt settings that differ from the protocol's; empty if none does.

    ``sensitivity`` makes such runs. They are not comparable with published figures.
    """
    settings = document.get("protocol")
    changed = settings.get("changed") if isinstance(settings, dict) else None
    if not isinstance(settings, dict) or not isinstance(changed, list):
        return ""  # an older version; a damaged document is refused by read_result
    return ", ".join(f"{name} {settings.get(name)}" for name in _PROMPT if name in changed)


def _superseded(old: Result, new: Result, registry: Registry) -> str:
    """Return the note about a result that is left out in favour of a newer one."""
    if old.alternative and not new.alternative:
        return f"{old.source}: a measurement of {old.alternative}, which is an alternative"
    name = old.alternative or registry.model(old.model).huggingface_id
    return f"{old.source}: an older measurement of {name}"


def _age(path: Path) -> tuple[int, Path]:
    return path.stat().st_mtime_ns, path


def model_name(document: Mapping[str, object], path: Path) -> str:
    """Return the identifier or path of the model of a run."""
    return text_field(document, path, "model", "name")


def registered_model(
    registry: Registry, document: Mapping[str, object], path: Path
) -> RegisteredModel | None:
    """Return the registered model of a result; None if it is not registered."""
    name = model_name(document, path)
    return registry.by_huggingface_id(name) or _by_folder(registry, name, document, path)


def _by_folder(
    registry: Registry, name: str, document: Mapping[str, object], path: Path
) -> RegisteredModel | None:
    """Return the model whose key is the name of a local folder or GGUF file.

    Repositories are excluded: another owner may use the name of a registry key.
    """
    if not is_local(text_field(document, path, "model", "fingerprint")):
        return None
    model = Path(name)
    return registry.models.get(model.stem if model.suffix == ".gguf" else model.name)
