"""Results of finished runs: the ``result.json`` of every folder below one."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmark.boxes.baseline import readings
from benchmark.decoding.engines import ENGINES
from benchmark.errors import DataError
from benchmark.hypotheses.results import (
    Decoding,
    EvaluationSetting,
    PromptFormat,
    Result,
    Results,
    Score,
)
from benchmark.models.registry_types import RegisteredModel, Registry
from benchmark.reading import read_json
from benchmark.records import Outcome, Tally
from benchmark.runs.store.rescoring import Rescored, rescore
from benchmark.scoring.counts import count
from benchmark.scoring.outcomes import read_outcomes
from benchmark.tasks import DEFAULT, Task, task_of

_FREE: Decoding = "unconstrained"
"""The one engine that works without the constraint, and what results of it are called."""

_SCORES: tuple[Score, ...] = ("set", "exact", "format")

_LOCAL = "sha256:"
"""How the fingerprint of a local model begins; that of a repository is its commit."""

_FORMATS: tuple[PromptFormat, ...] = ("completion", "chat")


def read_results(folder: Path, known: Registry) -> Results:
    """The results below the folder, of models that the registry knows.

    A model is known by its identifier, or where its folder or file has the name of a registry
    key. Measured from an alternative repository, a result belongs to the published row that the
    alternative names. Of several results of a model in the same setting on the same data the newest
    from its default repository counts, else the newest. The others, what is from an alternative
    that names no row, and what is of other models, are named in ``ignored``.

    Raises:
        DataError: when there is no result, or one is not what ``run`` writes.
    """
    return results_of(result_files(folder), known)


def result_files(folder: Path) -> list[Path]:
    """Every ``result.json`` in or below the folder, the oldest first.

    Raises:
        DataError: when there is none.
    """
    paths = sorted(folder.rglob("result.json"), key=_age)
    if not paths:
        raise DataError(
            f"{folder}: no result.json in or below it; measure with: run --out {folder}/NAME"
        )
    return paths


def results_of(paths: Iterable[Path], known: Registry) -> Results:
    """As :func:`read_results`, of these files."""
    ignored: list[str] = []
    results: list[Result] = []
    for path in sorted(paths, key=_age):
        found = _of_known_model(known, path)
        results += [found] if isinstance(found, Result) else []
        ignored += [found] if isinstance(found, str) else []
    entries: dict[tuple[str, EvaluationSetting, str], Result] = {}
    for result in sorted(results, key=lambda each: each.alternative is None):
        key = (result.model, result.setting, result.data)
        if key in entries:  # measured again, with other libraries or another batch
            ignored.append(_superseded(entries[key], result, known))
        entries[key] = result
    return Results(tuple(entries.values()), known, tuple(ignored))


def _of_known_model(known: Registry, path: Path) -> Result | str:
    """The result in the file; or the file and why it is left out."""
    document = read_json(path)
    name = model_name(document, path)
    model = known_model(known, document, path)
    if model is None:
        return f"{path}: {name}"
    if model.row is None:
        return f"{path}: a measurement of {name}, an alternative to {model.key} without its row"
    if (task := task_of(document, str(path)).name) != DEFAULT:
        return f"{path}: {name} was asked about the task {task}, the paper about {DEFAULT}"
    if varied := _asked_otherwise(document):
        return f"{path}: {name} was asked with {varied}; only prompts as run sends them count"
    result = read_result(model.row, document, path)
    return replace(result, alternative=name if model.alternative else None)


_PROMPT = ("prompt_variant", "bos", "instruction_role")
"""Settings with which a model is asked otherwise than its protocol asks it."""


def _asked_otherwise(document: Mapping[str, object]) -> str:
    """The settings of the prompt that the run departs in, empty where it is asked as usual.

    ``sensitivity`` makes such runs: they are no measurements to compare with published figures.
    """
    settings = document.get("protocol")
    changed = settings.get("changed") if isinstance(settings, dict) else None
    if not isinstance(settings, dict) or not isinstance(changed, list):
        return ""  # of an older version, or refused by what reads on
    return ", ".join(f"{name} {settings.get(name)}" for name in _PROMPT if name in changed)


def _superseded(old: Result, new: Result, known: Registry) -> str:
    """The measurement that is left out, and why."""
    if old.alternative and not new.alternative:
        return f"{old.source}: a measurement of {old.alternative}, which is an alternative"
    name = old.alternative or known.model(old.model).huggingface_id
    return f"{old.source}: an older measurement of {name}"


def _age(path: Path) -> tuple[int, Path]:
    return path.stat().st_mtime_ns, path


def model_name(document: Mapping[str, object], path: Path) -> str:
    """What the run was asked to measure: an identifier or a path."""
    return _text(document, path, "model", "name")


def known_model(
    known: Registry, document: Mapping[str, object], path: Path
) -> RegisteredModel | None:
    """The registered model that a result is of, as loaded from the repository it was asked for."""
    name = model_name(document, path)
    return known.by_huggingface_id(name) or _by_folder(known, name, document, path)


def _by_folder(
    known: Registry, name: str, document: Mapping[str, object], path: Path
) -> RegisteredModel | None:
    """The model whose key is the name of a local folder or GGUF file.

    Not of a repository, which another owner may well call as the registry calls a model.
    """
    if not _text(document, path, "model", "fingerprint").startswith(_LOCAL):
        return None
    model = Path(name)
    return known.models.get(model.stem if model.suffix == ".gguf" else model.name)


def read_result(model: str, document: Mapping[str, object], path: Path) -> Result:
    """Return the result of a document that ``run`` wrote, called a result of that model.

    It is by ``set``, with the same answers by the other scores. What a document of an older
    version does not have is worked out from the predictions beside it.

    Raises:
        DataError: when it is not what ``run`` writes.
    """
    setting = _setting(document, path)
    outcomes, chance = _stored_outcomes(document, path), _stored_chance(document, path)
    older, free = not {"exact", "set"} <= outcomes.keys() & chance.keys(), setting.decoding == _FREE
    note = ""
    if older or free:
        again, note = _again(task_of(document, str(path)), outcomes["set"], path, older=older)
        outcomes, chance = {**again.outcomes, **outcomes}, {**again.chance, **chance}
    if "set" not in chance:
        chance["set"] = chance["mentions"]
    common = (_text(document, path, "data", "sha256"), str(path))
    results = {
        score: Result(
            model, setting, count(some).by_numops, chance.get(score, {}), *common, some, score=score
        )
        for score in _SCORES
        if (some := outcomes.get(score)) and (free or score != "format")
    }
    return replace(results.pop("set"), others=results, note=note)


def _again(
    task: Task, stored: Sequence[Outcome], path: Path, *, older: bool
) -> tuple[Rescored, str]:
    """The predictions beside a result scored again, or nothing; and a note of what to know."""
    predictions = path.with_name("predictions.jsonl")
    why = f"no {predictions.name} beside it"
    if predictions.exists():
        try:
            found = rescore(task, stored, predictions)
        except DataError as error:
            why = str(error)
        else:
            if found:
                return found, _scored_otherwise(stored, found, path, older=older)
            why = f"its {predictions.name} leads to another result, by rules that changed or edited"
    lost = "only the set score is known, so it is compared by set, and random is of every mention"
    if not older:
        lost = "whether its answers keep the format is not known"
    return Rescored({}, {}), f"{path}: {lost}: {why}"


def _scored_otherwise(
    stored: Sequence[Outcome], found: Rescored, path: Path, *, older: bool
) -> str:
    """A note if the predictions lead to other ``set`` outcomes than those stored, else nothing."""
    pairs = zip(stored, found.outcomes["set"], strict=True)
    differing = sum(old != new for old, new in pairs)
    if not differing:
        return ""
    taken = "exact and random" if older else "the format"
    return (
        f"{path}: set is as stored, {taken} from its predictions.jsonl, of which {differing} of "
        f"{len(stored)} answers would now be scored otherwise by set: the rules changed, or it was "
        "edited"
    )


def _stored_outcomes(document: Mapping[str, object], path: Path) -> dict[str, tuple[Outcome, ...]]:
    """The outcomes that the document has, by score, checked against its counts."""
    found = {}
    for score in ("set", "exact"):
        where = () if score == "set" else (score,)
        if score == "set" or score in document:
            found[score] = tuple(read_outcomes(document, str(path), score))
            if count(found[score]).by_numops != _counts(document, path, *where):
                raise DataError(f"{path}: by_numops does not count its outcomes; measure again")
    return found


def _setting(document: Mapping[str, object], path: Path) -> EvaluationSetting:
    engine = _text(document, path, "protocol", "engine")
    asked = _text(document, path, "protocol", "prompt_format")
    found = [name for name in _FORMATS if name == asked]
    if not found:
        raise DataError(f"{path}: prompt_format {asked!r} is none of {', '.join(_FORMATS)}")
    row = ENGINES.get(engine)
    decoding: Decoding = _FREE if row and not row.constrained else "constrained"
    return EvaluationSetting(decoding, found[0])


def _counts(document: Mapping[str, object], path: Path, *where: str) -> dict[int, Tally]:
    counts = {}
    for numops, entry in _fields(document, path, *where, "by_numops").items():
        match entry:
            case {"correct": int(correct), "total": int(total)} if numops.isdecimal():
                counts[int(numops)] = Tally(correct, total)
            case _:
                raise DataError(f"{path}: by_numops {numops!r} is no count; measure again")
    return counts


def _stored_chance(document: Mapping[str, object], path: Path) -> dict[str, Mapping[int, float]]:
    """The random baseline in 0..1 by reading and numops.

    Older versions had one reading, ``mentions``, where ``exact`` is now.
    """
    first = _chance(document, path)
    found = _fields(document, path, "baseline")
    if "set" not in found:
        return {"mentions": first}
    others = [name for name in readings() if name in found]
    return {"exact": first, **{name: _chance(document, path, name) for name in others}}


def _chance(document: Mapping[str, object], path: Path, *where: str) -> Mapping[int, float]:
    chance = {}
    for numops, percent in _fields(document, path, "baseline", *where, "by_numops").items():
        if not (isinstance(percent, int | float) and numops.isdecimal() and 0 <= percent <= 100):  # noqa: PLR2004  # per cent
            raise DataError(f"{path}: baseline of numops {numops!r} is no percentage")
        chance[int(numops)] = percent / 100
    return chance


def _fields(document: Mapping[str, object], path: Path, *names: str) -> Mapping[str, object]:
    found: object = document
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, dict):
        raise DataError(f"{path}: no {'.'.join(names)} in it; measure again with this version")
    return found


def _text(document: Mapping[str, object], path: Path, *names: str) -> str:
    found = _fields(document, path, *names[:-1]).get(names[-1])
    if not isinstance(found, str):
        raise DataError(f"{path}: no {'.'.join(names)} in it; measure again with this version")
    return found
