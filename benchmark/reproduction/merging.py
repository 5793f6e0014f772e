"""Merge stores of measurements, such as those of the shards of a reproduction, into one.

Everything is read and checked before anything is written. A run that is there already is the same
run, so merging again changes nothing.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.errors import DataError, ResumeError
from benchmark.folder_writing import replacing_folder
from benchmark.locking import LockHeldError
from benchmark.models.registry_types import Registry
from benchmark.reading.documents import read_json
from benchmark.reading.files import files_named, read_text
from benchmark.reproduction.verdicts import PairOutcome, judge_stored
from benchmark.runs.model_store import folder_name, measurement_lock
from benchmark.runs.store.results import registered_model
from benchmark.runs.store.run_identity import comparable, first_difference
from benchmark.runs.store.stored_result import fields, text_field
from benchmark.scoring.predictions import StoredAnswer, answer_line, read_answers
from benchmark.writing import ensure_folder, is_present, is_unfinished, write_text

_AGAIN = "measure it again, or leave its folder out"


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run in a store.

    Attributes:
        path: its folder.
        identity: everything that it depends on, as ``run.json`` has it.
        answers: its answers by description, in the order of the file.
        finished: whether it has a result.
    """

    path: Path
    identity: dict[str, object]
    answers: dict[str, StoredAnswer]
    finished: bool

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


@dataclass(frozen=True, slots=True)
class Merged:
    """The runs in the store after a merge, how many were copied, and what they were measured on."""

    runs: tuple[StoredRun, ...]
    copied: int
    hardware: Counter[str]

    def as_json(self) -> dict[str, object]:
        """Return the runs by the names of their folders."""
        return {
            run.path.name: {
                "model": run.model,
                "states": len(run.answers),
                "finished": run.finished,
                "hardware": run.hardware,
            }
            for run in self.runs
        }


def merge_stores(folders: Sequence[Path], out: Path, say: Callable[[str], None]) -> Merged:
    """Copy the runs of several stores into one.

    Args:
        folders: the stores; runs in subfolders count.
        out: the store that they are copied to; runs that it has already are merged too.
        say: takes a line of text for the user.

    Raises:
        DataError: if a run is damaged, two runs have other answers to the same state, or runs are
            not of one reproduction: naming both and the first difference.
        ResumeError: if another process measures one of the runs in ``out``.
    """
    runs = [run for folder in _distinct(folders, out) for run in read_store(folder)]
    _check_one_reproduction(runs)
    groups = dict[str, list[StoredRun]]()
    for run in runs:
        groups.setdefault(run.key, []).append(run)
    _check_one_run_per_model([group[0] for group in groups.values()])
    merged = [_combined(group) for group in groups.values()]
    ensure_folder(out)
    written = [_write(run, groups[run.key], out, say) for run in merged]
    runs_there, copied = [run for run, _ in written], sum(is_new for _, is_new in written)
    return Merged(tuple(runs_there), copied, Counter(run.hardware for run in runs_there))


def judge_merged(merged: Merged, registry: Registry, margin: float) -> list[PairOutcome]:
    """Judge the pairs of the registry that have a model in the store.

    ``margin`` is that of :func:`benchmark.reproduction.verdicts.report_pair`.

    Raises:
        DataError: if two runs are of one registered model, or a result cannot be read.
    """
    folders = dict[str, Path | str]()
    for run in merged.runs:
        if model := registered_model(registry, run.identity, run.path / "run.json"):
            if model.key in folders:
                raise DataError(f"{run.path} and {folders[model.key]} are two runs of {model.key}")
            states = f"only {len(run.answers)} states are measured"
            folders[model.key] = run.path if run.finished else states
    own = [p for p in registry.pairs.values() if {p.base, p.variant} & folders.keys()]
    return judge_stored(own, folders, margin)


def _distinct(folders: Sequence[Path], out: Path) -> list[Path]:
    """Return the folders once, the store that is written first."""
    for folder in folders:
        if not folder.is_dir():
            raise DataError(f"{folder}: not a folder; name the --store of a shard")
    present = [out, *folders] if out.is_dir() else folders
    return [*{folder.resolve(): folder for folder in present}.values()]


def read_store(folder: Path) -> list[StoredRun]:
    """Return the runs in or below a folder, in the order of their paths.

    Raises:
        DataError: naming a file that is damaged or incomplete.
    """
    paths = sorted(path.parent for path in files_named("run.json", folder))
    return [_read(path) for path in paths if not any(map(is_unfinished, (path, *path.parents)))]


def _read(folder: Path) -> StoredRun:
    predictions, result = folder / "predictions.jsonl", folder / "result.json"
    try:
        identity, finished = read_json(folder / "run.json"), is_present(result)
        if finished:
            fields(read_json(result), result, "by_numops")
        answers = read_answers(predictions, growing=not finished) if is_present(predictions) else ()
    except DataError as error:
        raise DataError(f"{error}; {_AGAIN}") from error
    run = StoredRun(folder, identity, {one.description: one for one in answers}, finished)
    states = fields(identity, folder / "run.json", "data").get("states")
    text_field(identity, folder / "run.json", "model", "name")
    text_field(identity, folder / "run.json", "environment", "hardware", "name")
    if finished and len(answers) != states:
        raise DataError(
            f"{predictions}: {len(answers)} answers of a finished run of {states} states; {_AGAIN}"
        )
    return run


_COMMON = {
    "data": ("data",),
    "constraint": ("constraint",),
    "protocol": ("protocol", "name"),
    "changed settings": ("protocol", "changed"),
    "max_new_tokens": ("protocol", "max_new_tokens"),
    "prompt_variant": ("protocol", "prompt_variant"),
    "benchmark": ("environment", "benchmark"),
    "versions": ("environment", "versions"),
}
"""What all models of a reproduction have in common, by its name in errors."""


def _check_one_reproduction(runs: Sequence[StoredRun]) -> None:
    """Check that all runs have the same data, settings and libraries.

    Raises:
        DataError: naming two runs and the first difference.
    """
    for run in runs[1:]:
        for name, path in _COMMON.items():
            first, own = (_at(one.identity, path) for one in (runs[0], run))
            if difference := first_difference(first, own, name):
                raise DataError(
                    f"{run.path} and {runs[0].path} are not of one reproduction: {difference}; "
                    "merge them into two folders"
                )


def _at(identity: object, path: Iterable[str]) -> object:
    for name in path:
        identity = identity.get(name) if isinstance(identity, dict) else None
    return identity


def _check_one_run_per_model(runs: Sequence[StoredRun]) -> None:
    """Check that no model was measured in two ways.

    Raises:
        DataError: naming both runs and the first difference.
    """
    by_model = dict[str, StoredRun]()
    for run in runs:
        other = by_model.setdefault(run.model, run)
        if other is not run:
            difference = first_difference(comparable(other.identity), comparable(run.identity))
            raise DataError(
                f"{run.path} and {other.path} are two runs of {run.model}: {difference}; leave "
                "one out"
            )


def _combined(runs: Sequence[StoredRun]) -> StoredRun:
    """Return the run with the answers of all copies of it.

    Raises:
        DataError: if two have other answers to the same state.
    """
    best = max(runs, key=lambda run: (run.finished, len(run.answers)))
    answers = dict(best.answers)
    for run in runs:
        for description, answer in run.answers.items():
            own = answers.setdefault(description, answer)
            if _contradict(own, answer):
                raise DataError(
                    f"{run.path} and {best.path} have other answers to the same state, "
                    f"{description[:60]!r}...: {answer.text[:60]!r} and {own.text[:60]!r}; measure "
                    "one of them again, or leave it out"
                )
    return replace(best, answers=answers)


def _contradict(one: StoredAnswer, other: StoredAnswer) -> bool:
    """Return whether two answers differ; tokens count where both have them."""
    tokens = one.token_ids is not None and other.token_ids is not None
    return one.text != other.text or (tokens and one.token_ids != other.token_ids)


def _write(
    run: StoredRun, copies: Sequence[StoredRun], out: Path, say: Callable[[str], None]
) -> tuple[StoredRun, bool]:
    """Write a run into the store, unless it is there already.

    Returns:
        The run as it is there, and whether it was written.
    """
    there = [copy for copy in copies if out.resolve() in copy.path.resolve().parents]
    complete = (
        copy for copy in there if (copy.finished, copy.answers) == (run.finished, run.answers)
    )
    if same := next(complete, None):
        return replace(run, path=same.path), False
    target = there[0].path if there else out / folder_name(run.model, run.identity)
    try:
        with measurement_lock(out, run.identity, wait=False):
            return _write_locked(run, target, say)
    except LockHeldError as error:
        raise ResumeError(f"{target}: another process measures it; wait until it ends") from error


def _write_locked(
    run: StoredRun, target: Path, say: Callable[[str], None]
) -> tuple[StoredRun, bool]:
    """Write a run with the answers that its folder has by now; the caller holds the lock.

    Another merge or a measurement may have written to the folder since it was read. A run that
    has been finished there is left alone.
    """
    if is_present(target / "run.json"):
        current = _read(target)
        run = _combined([current, run])
        if (current.finished, current.answers) == (run.finished, run.answers):
            return current, False
    with replacing_folder(target) as folder:
        _fill(run, folder)
    say(f"{target.name}: {len(run.answers)} states from {run.path.parent}")
    return replace(run, path=target), True


def _fill(run: StoredRun, folder: Path) -> None:
    """Write the files of a run; those of a finished run are copied as they are."""
    for name in ("run.json", "progress.json", "result.json"):
        if is_present(run.path / name) and (name != "result.json" or run.finished):
            write_text(folder / name, [read_text(run.path / name)], make_folder=False)
    lines = map(answer_line, run.answers.values())
    write_text(folder / "predictions.jsonl", lines, make_folder=False)
