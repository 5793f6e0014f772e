"""Merge stores of measurements, such as those of the shards of a reproduction, into one.

Everything is read and checked before anything is written. A run that is there already is the same
run, so merging again changes nothing.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.errors import DataError, ResumeError
from benchmark.folder_writing import replacing_folder
from benchmark.locking import LockHeldError
from benchmark.models.registry_types import Pair, Registry
from benchmark.reading.files import read_text
from benchmark.reproduction.stored_runs import StoredRun, read_run, read_store
from benchmark.reproduction.verdicts import PairOutcome, UnjudgedPair, judge_stored
from benchmark.runs.model_store import folder_name, measurement_lock
from benchmark.runs.store.results import registered_model
from benchmark.runs.store.run_identity import comparable, first_difference
from benchmark.scoring.predictions import StoredAnswer, answer_line
from benchmark.writing import ensure_folder, is_present, write_text


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


def merge_stores(
    folders: Sequence[Path], out: Path, say: Callable[[str], None], registry: Registry
) -> Merged:
    """Copy the runs of several stores into one.

    An unfinished run is left out, with a note, if its model has a finished one.

    Args:
        folders: the stores; runs in subfolders count.
        out: the store that they are copied to; runs that it has already are merged too.
        say: takes a line of text for the user.
        registry: the models; a repository and a local folder may be the same one.

    Raises:
        DataError: if a run is damaged, two runs have other answers to the same state or are of one
            model, or runs are not of one reproduction: naming both and the first difference.
        ResumeError: if another process measures one of the runs in ``out``.
    """
    by_store = {folder: read_store(folder) for folder in _distinct(folders, out)}
    groups = dict[str, list[StoredRun]]()
    for run in (run for own in by_store.values() for run in own):
        groups.setdefault(run.key, []).append(run)
    left_out = dict(_abandoned([*groups.values()], registry))
    _check_one_reproduction(
        {store: [run for run in own if run.key not in left_out] for store, own in by_store.items()}
    )
    groups = {key: group for key, group in groups.items() if key not in left_out}
    _check_one_run_per_model([group[0] for group in groups.values()], registry)
    merged = [_combined(group) for group in groups.values()]
    for note in left_out.values():
        say(note)
    ensure_folder(out)
    written = [_write(run, groups[run.key], out, say) for run in merged]
    runs_there, copied = [run for run, _ in written], sum(is_new for _, is_new in written)
    return Merged(tuple(runs_there), copied, Counter(run.hardware for run in runs_there))


@dataclass(frozen=True, slots=True)
class MergedPairs:
    """The pairs of a reproduction after a merge.

    Attributes:
        pairs: the pairs with a run of one of their models.
        unmeasured: the pairs of whose models no store has a run.
        missing: the keys of the models without a finished run, in the order of the pairs.
    """

    pairs: tuple[PairOutcome, ...]
    unmeasured: tuple[Pair, ...]
    missing: tuple[str, ...]

    @property
    def outcomes(self) -> tuple[PairOutcome, ...]:
        """All pairs; those that no store has are not judged."""
        none = "no store has a run of its models"
        return (*self.pairs, *(UnjudgedPair(pair, none) for pair in self.unmeasured))


def judge_merged(
    merged: Merged, registry: Registry, pairs: Iterable[Pair], margin: float
) -> MergedPairs:
    """Judge pairs by the runs in the store.

    Args:
        merged: the store.
        registry: the models.
        pairs: the pairs that were to be measured.
        margin: that of :func:`benchmark.reproduction.verdicts.report_pair`.

    Raises:
        DataError: if a result cannot be read.
    """
    folders = dict[str, Path | str]()
    for run in merged.runs:
        if model := registered_model(registry, run.identity, run.path / "run.json"):
            states = f"only {len(run.answers)} states are measured"
            folders[model.key] = run.path if run.finished else states
    wanted = [*pairs]
    keys = dict.fromkeys(key for pair in wanted for key in (pair.base, pair.variant))
    own = [pair for pair in wanted if {pair.base, pair.variant} & folders.keys()]
    return MergedPairs(
        tuple(judge_stored(own, folders, margin)),
        tuple(pair for pair in wanted if pair not in own),
        tuple(key for key in keys if not isinstance(folders.get(key), Path)),
    )


def _distinct(folders: Sequence[Path], out: Path) -> list[Path]:
    """Return the folders once, the store that is written first."""
    for folder in folders:
        if not folder.is_dir():
            raise DataError(f"{folder}: not a folder; name the --store of a shard")
    present = [out, *folders] if out.is_dir() else folders
    return [*{folder.resolve(): folder for folder in present}.values()]


_PLACES = ("in the first", "in the second")

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


def _check_one_reproduction(by_store: Mapping[Path, Sequence[StoredRun]]) -> None:
    """Check that all runs have the same data, settings and libraries.

    Raises:
        DataError: naming the folders with other ones than most runs have, and the first
            difference.
    """
    groups = list[list[StoredRun]]()
    for run in (run for own in by_store.values() for run in own):
        alike = (group for group in groups if not _difference(group[0], run))
        if (group := next(alike, None)) is not None:
            group.append(run)
        else:
            groups.append([run])
    if len(groups) <= 1:
        return
    most = max(groups, key=len)  # of several the first that was read
    other = next(group[0] for group in groups if group is not most)
    places = ", ".join(map(str, _places(by_store, {run.path for run in most})))
    raise DataError(
        f"{other.path} and {most[0].path} are not of one reproduction: "
        f"{_difference(other, most[0])}; {len(most)} of {sum(map(len, groups))} runs are as the "
        f"second; leave out or move away {places}, then measure what is missing"
    )


def _difference(one: StoredRun, other: StoredRun) -> str:
    """Return the first difference in what a reproduction has in common; empty without one."""
    differences = (
        first_difference(_at(one.identity, path), _at(other.identity, path), name, _PLACES)
        for name, path in _COMMON.items()
    )
    return next(filter(None, differences), "")


def _places(
    by_store: Mapping[Path, Sequence[StoredRun]], kept: AbstractSet[Path]
) -> Iterator[Path]:
    """Yield the folders of the runs that are not kept; a store alone if none in it is."""
    for store, runs in by_store.items():
        others = [run.path for run in runs if run.path not in kept]
        yield from [store] if others and len(others) == len(runs) else others


def _at(identity: object, path: Iterable[str]) -> object:
    for name in path:
        identity = identity.get(name) if isinstance(identity, dict) else None
    return identity


def _abandoned(
    groups: Sequence[Sequence[StoredRun]], registry: Registry
) -> Iterator[tuple[str, str]]:
    """Yield the key of each unfinished run whose model has one finished run, and a note about it.

    Such a run was begun in another way, such as on other hardware, and given up.
    """
    by_model = dict[str, list[Sequence[StoredRun]]]()
    for group in groups:
        by_model.setdefault(_model_of(group[0], registry), []).append(group)
    for model, own in by_model.items():
        finished = [run for group in own for run in group if run.finished]
        if len({run.key for run in finished}) != 1:
            continue
        for group in own:
            if group[0].key != finished[0].key:
                paths = ", ".join(str(run.path) for run in group)
                note = (
                    f"note: {paths}: an unfinished run of {model} is left out, as "
                    f"{finished[0].path} is finished: {_ways(group[0], finished[0])}"
                )
                yield group[0].key, note


def _check_one_run_per_model(runs: Sequence[StoredRun], registry: Registry) -> None:
    """Check that no model was measured in two ways.

    Raises:
        DataError: naming both runs and the first difference.
    """
    by_model = dict[str, StoredRun]()
    # Unfinished ones are in the way only of each other: finished ones are named first.
    for run in sorted(runs, key=lambda run: not run.finished):
        model = _model_of(run, registry)
        other = by_model.setdefault(model, run)
        if other is not run:
            raise DataError(
                f"{run.path} and {other.path} are two runs of {model}: {_ways(run, other)}; leave "
                "one out"
            )


def _model_of(run: StoredRun, registry: Registry) -> str:
    """Return the key of a run's model in the registry, or its name if it is not registered."""
    model = registered_model(registry, run.identity, run.path / "run.json")
    return model.key if model else run.model


def _ways(one: StoredRun, other: StoredRun) -> str:
    """Return the first difference between two runs of a model."""
    first, second = (comparable(run.identity) for run in (one, other))
    if first.get("model") != second.get("model"):
        first, second = one.identity, other.identity  # with the name of a local model
    return first_difference(first, second, places=_PLACES)


def _combined(runs: Sequence[StoredRun]) -> StoredRun:
    """Return the run with the answers of all copies of it.

    Raises:
        DataError: if two have other answers to the same state, or other results.
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
        if run.finished and run.outcomes != best.outcomes:
            raise DataError(
                f"{run.path / 'result.json'} and {best.path / 'result.json'} are of one run and "
                "have other queries right; measure one of them again, or leave it out"
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
        current = read_run(target)
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
