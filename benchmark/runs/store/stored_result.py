"""Read the result in one ``result.json``, of this version or an older one."""

from collections.abc import Mapping, Sequence
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
    ScoreName,
)
from benchmark.records import Outcome, Tally
from benchmark.runs.store.rescoring import Rescored, rescore
from benchmark.scoring.counts import count
from benchmark.scoring.outcomes import read_outcomes
from benchmark.tasks import Task, task_of
from benchmark.writing import is_present

_SCORES: tuple[ScoreName, ...] = ("set", "exact", "format")

_LONGEST_NUMOPS = 10
"""More digits than any number of operations has."""

_FORMATS: tuple[PromptFormat, ...] = ("completion", "chat")


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
    common = (text_field(document, path, "data", "sha256"), str(path))
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
    if is_present(predictions):
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
    engine = text_field(document, path, "protocol", "engine")
    name = text_field(document, path, "protocol", "prompt_format")
    formats = [prompt_format for prompt_format in _FORMATS if prompt_format == name]
    if not formats:
        raise DataError(f"{path}: unknown prompt_format {name!r}, not {' or '.join(_FORMATS)}")
    row = ENGINES.get(engine)
    decoding: Decoding = UNCONSTRAINED if row and not row.constrained else "constrained"
    return EvaluationSetting(decoding, formats[0])


def _counts(document: Mapping[str, object], path: Path, *where: str) -> dict[int, Tally]:
    counts = {}
    for numops, entry in fields(document, path, *where, "by_numops").items():
        match entry:
            case {"correct": int(correct), "total": int(total)} if _is_numops(numops) and not (
                isinstance(correct, bool) or isinstance(total, bool)
            ):
                counts[int(numops)] = Tally(correct, total)
            case _:
                raise DataError(f"{path}: by_numops {numops!r} is not a count; measure again")
    return counts


def _stored_chance(document: Mapping[str, object], path: Path) -> dict[str, Mapping[int, float]]:
    """Return the random baseline in 0..1 by reading and numops.

    Older versions have only the reading ``mentions``, in the place of ``exact``.
    """
    first = _chance(document, path)
    baseline = fields(document, path, "baseline")
    if "set" not in baseline:
        return {"mentions": first}
    others = [name for name in readings() if name in baseline]
    return {"exact": first, **{name: _chance(document, path, name) for name in others}}


def _chance(document: Mapping[str, object], path: Path, *where: str) -> Mapping[int, float]:
    chance = {}
    for numops, percent in fields(document, path, "baseline", *where, "by_numops").items():
        if not isinstance(percent, int | float) or isinstance(percent, bool):
            raise DataError(f"{path}: baseline of numops {numops!r} is not a number")
        if not (_is_numops(numops) and 0 <= percent <= 100):  # noqa: PLR2004  # per cent
            raise DataError(f"{path}: baseline of numops {numops!r} is not a percentage")
        chance[int(numops)] = percent / 100
    return chance


def _is_numops(name: str) -> bool:
    """Return whether the name is a number of operations, as JSON has it."""
    return name.isascii() and name.isdecimal() and len(name) < _LONGEST_NUMOPS


def fields(document: Mapping[str, object], path: Path, *names: str) -> Mapping[str, object]:
    """Return the object under these names.

    Raises:
        DataError: if there is no such object.
    """
    value: object = document
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    if not isinstance(value, dict):
        raise DataError(f"{path}: no {'.'.join(names)} in it; measure again with this version")
    return value


def text_field(document: Mapping[str, object], path: Path, *names: str) -> str:
    """Return the text under these names.

    Raises:
        DataError: if there is no such text.
    """
    value = fields(document, path, *names[:-1]).get(names[-1])
    if not isinstance(value, str):
        raise DataError(f"{path}: no {'.'.join(names)} in it; measure again with this version")
    return value
