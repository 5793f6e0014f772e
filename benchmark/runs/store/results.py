"""Read the results of finished runs: every ``result.json`` in or below a folder."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmark.boxes.baseline import readings
from benchmark.decoding.engines import ENGINES
from benchmark.errors import DataError
from benchmark.hypotheses.results import (
    UNCONSTRAINED,
    Decoding,
    EvaluationSetting,
    PromptFormat,
    Result,
    Results,
    ScoreName,
)
from benchmark.models.digests import is_local
from benchmark.models.registry_types import RegisteredModel, Registry
from benchmark.reading import read_json
from benchmark.records import Outcome, Tally
from benchmark.runs.store.rescoring import Rescored, rescore
from benchmark.scoring.counts import count
from benchmark.scoring.outcomes import read_outcomes
from benchmark.tasks import DEFAULT, Task, task_of

"""How results of engines without the constraint are called."""

_SCORES: tuple[ScoreName, ...] = ("set", "exact", "format")

_FORMATS: tuple[PromptFormat, ...] = ("completion", "chat")


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
    """
    paths = sorted(folder.rglob("result.json"), key=_age)
    if not paths:
        raise DataError(
            f"{folder}: no result.json in or below it; measure with: run --out {folder}/NAME"
        )
    return paths


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
    return _text(document, path, "model", "name")


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
    if not is_local(_text(document, path, "model", "fingerprint")):
        return None
    model = Path(name)
    return registry.models.get(model.stem if model.suffix == ".gguf" else model.name)


def read_result(model: str, document: Mapping[str, object], path: Path) -> Result:
    """Return the result in a document as a result of ``model``.

    It is by ``set``; the other scores are in ``others``. What a document of an older version lacks
    is computed from the predictions in the same folder.

    Raises:
        DataError: when the document was not written by ``run``.
    """
    setting = _setting(document, path)
    outcomes, chance = _stored_outcomes(document, path), _stored_chance(document, path)
    older, free = (
        not {"exact", "set"} <= outcomes.keys() & chance.keys(),
        setting.decoding == UNCONSTRAINED,
    )
    note = ""
    if older or free:
        rescored, note = _rescored(task_of(document, str(path)), outcomes["set"], path, older=older)
        outcomes, chance = {**rescored.outcomes, **outcomes}, {**rescored.chance, **chance}
    if "set" not in chance:
        chance["set"] = chance["mentions"]
    common = (_text(document, path, "data", "sha256"), str(path))
    results = {
        score: Result(
            model,
            setting,
            count(scored).by_numops,
            chance.get(score, {}),
            *common,
            scored,
            score=score,
        )
        for score in _SCORES
        if (scored := outcomes.get(score)) and (free or score != "format")
    }
    return replace(results.pop("set"), others=results, note=note)


def _rescored(
    task: Task, stored: Sequence[Outcome], path: Path, *, older: bool
) -> tuple[Rescored, str]:
    """Score the predictions of a result again; return them, or nothing, and a note for the user."""
    predictions = path.with_name("predictions.jsonl")
    why = f"no {predictions.name} in its folder"
    if predictions.exists():
        try:
            rescored = rescore(task, stored, predictions)
        except DataError as error:
            why = str(error)
        else:
            if rescored:
                return rescored, _rescoring_note(stored, rescored, path, older=older)
            why = f"{predictions.name} does not lead to its result; it was edited, or rules changed"
    missing = "only the set score is available, and the random baseline by mentions"
    if not older:
        missing = "whether its answers keep the format is unknown"
    return Rescored({}, {}), f"{path}: {missing}: {why}"


def _rescoring_note(
    stored: Sequence[Outcome], rescored: Rescored, path: Path, *, older: bool
) -> str:
    """Return a note if the ``set`` outcomes of the predictions differ from the stored ones."""
    pairs = zip(stored, rescored.outcomes["set"], strict=True)
    differing = sum(old != new for old, new in pairs)
    if not differing:
        return ""
    computed = "exact and random are" if older else "the format is"
    return (
        f"{path}: set is as stored, {computed} computed from predictions.jsonl, where {differing} "
        f"of {len(stored)} answers would now be scored differently by set: the rules changed, or "
        "the file was edited"
    )


def _stored_outcomes(document: Mapping[str, object], path: Path) -> dict[str, tuple[Outcome, ...]]:
    """Return the outcomes in the document by score, checked against its counts."""
    outcomes = {}
    for score in ("set", "exact"):
        where = () if score == "set" else (score,)
        if score == "set" or score in document:
            outcomes[score] = tuple(read_outcomes(document, str(path), score))
            if count(outcomes[score]).by_numops != _counts(document, path, *where):
                raise DataError(f"{path}: by_numops does not count its outcomes; measure again")
    return outcomes


def _setting(document: Mapping[str, object], path: Path) -> EvaluationSetting:
    engine = _text(document, path, "protocol", "engine")
    name = _text(document, path, "protocol", "prompt_format")
    formats = [prompt_format for prompt_format in _FORMATS if prompt_format == name]
    if not formats:
        raise DataError(f"{path}: unknown prompt_format {name!r}, not {' or '.join(_FORMATS)}")
    row = ENGINES.get(engine)
    decoding: Decoding = UNCONSTRAINED if row and not row.constrained else "constrained"
    return EvaluationSetting(decoding, formats[0])


def _counts(document: Mapping[str, object], path: Path, *where: str) -> dict[int, Tally]:
    counts = {}
    for numops, entry in _fields(document, path, *where, "by_numops").items():
        match entry:
            case {"correct": int(correct), "total": int(total)} if numops.isdecimal():
                counts[int(numops)] = Tally(correct, total)
            case _:
                raise DataError(f"{path}: by_numops {numops!r} is not a count; measure again")
    return counts


def _stored_chance(document: Mapping[str, object], path: Path) -> dict[str, Mapping[int, float]]:
    """Return the random baseline in 0..1 by reading and numops.

    Older versions have only the reading ``mentions``, in the place of ``exact``.
    """
    first = _chance(document, path)
    baseline = _fields(document, path, "baseline")
    if "set" not in baseline:
        return {"mentions": first}
    others = [name for name in readings() if name in baseline]
    return {"exact": first, **{name: _chance(document, path, name) for name in others}}


def _chance(document: Mapping[str, object], path: Path, *where: str) -> Mapping[int, float]:
    chance = {}
    for numops, percent in _fields(document, path, "baseline", *where, "by_numops").items():
        if not (isinstance(percent, int | float) and numops.isdecimal() and 0 <= percent <= 100):  # noqa: PLR2004  # per cent
            raise DataError(f"{path}: baseline of numops {numops!r} is not a percentage")
        chance[int(numops)] = percent / 100
    return chance


def _fields(document: Mapping[str, object], path: Path, *names: str) -> Mapping[str, object]:
    value: object = document
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    if not isinstance(value, dict):
        raise DataError(f"{path}: no {'.'.join(names)} in it; measure again with this version")
    return value


def _text(document: Mapping[str, object], path: Path, *names: str) -> str:
    value = _fields(document, path, *names[:-1]).get(names[-1])
    if not isinstance(value, str):
        raise DataError(f"{path}: no {'.'.join(names)} in it; measure again with this version")
    return value
