"""Load the states of a request, and score predictions about them."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from benchmark.boxes.vocabulary import default_vocabulary
from benchmark.errors import DataError, SettingError
from benchmark.records import State
from benchmark.runs.requests import DataRequest
from benchmark.scoring.predictions import holds_predictions, match, read_predictions
from benchmark.stats.error_summary import ErrorSummary, answered, summarize_errors
from benchmark.stats.summary import Summary, summarize
from benchmark.tasks import TASKS, by_score, task_named


def load_states(request: DataRequest) -> list[State]:
    """Return the first ``request.states`` states, in the order of the data; by default all.

    Raises:
        DataError: when the data cannot be read, has no states, or has one of them twice.
        SettingError: when fewer than 1 or more states are requested than the data has, and for
            options that do not apply to the data.
    """
    check_number(request)
    try:
        # islice takes no more than the largest size of a list.
        number = request.states and min(request.states, sys.maxsize)
        states = list(islice(_unique(_source(request), str(request.path)), number))
    except DataError as error:
        raise DataError(_explained(str(error), request)) from error
    if not states:
        raise DataError(f"{request.path}: no states in this file")
    if request.states is not None and len(states) < request.states:
        raise SettingError(f"--states {request.states}: the data has {len(states)}; ask for fewer")
    return states


def check_number(request: DataRequest) -> None:
    """Check the number of states without reading any.

    Raises:
        SettingError: for a number below 1.
    """
    if request.states is not None and request.states < 1:
        raise SettingError(f"--states {request.states}: at least 1 is needed")


class ScoredFiles(NamedTuple):
    """Predictions of a file with a summary by every score, and what went wrong if that is asked."""

    summaries: Mapping[str, Summary]
    errors: ErrorSummary | None


def score_files(
    predictions: Path, gold: DataRequest, *, partial: bool, errors: bool = False
) -> ScoredFiles:
    """Score a file of predictions against gold states.

    Raises:
        DataError: when a file cannot be read, or no prediction is about a gold state; without
            ``partial`` also when a gold state has no prediction.
    """
    pairs = match(
        load_states(gold), read_predictions(predictions), str(predictions), partial=partial
    )
    task = task_named(gold.task)
    judged = [(state, task.judge(state, text)) for state, text in pairs]
    if not judged:
        raise DataError(f"{predictions}: no prediction for any state of the gold data")
    by_name = by_score([answer for _, answer in judged])
    analysis = (
        summarize_errors(answered(task, state, one.answer) for state, one in judged)
        if errors
        else None
    )
    return ScoredFiles({by: summarize(outcomes) for by, outcomes in by_name.items()}, analysis)


def _explained(message: str, request: DataRequest) -> str:
    """Return an error of reading a file; it names the file's kind if another was expected."""
    path = request.path
    if path is None or not path.is_file():
        return message
    if holds_predictions(path):
        return f"{path}: holds predictions, not states; give the data that they are about"
    for name in TASKS:
        if name != request.task and _holds_states(name, path, request.password):
            return f"{message}; the file holds states of the task {name}: use --task {name}"
    return message


def _holds_states(task: str, path: Path, password: str | None) -> bool:
    try:
        return bool(list(task_named(task).read(path, password)))
    except (DataError, SettingError):
        return False


def _source(request: DataRequest) -> Iterator[State]:
    path, zipped = request.path, bool(request.path and request.path.suffix.lower() == ".zip")
    if request.password is not None and not zipped:
        raise SettingError("--password is for the authors' ZIP; pass that with --data, or omit it")
    if path is None:
        return iter(_evaluated(request.task, request.split, request.seed or 0))
    if request.seed is not None:
        raise SettingError(f"--seed generates data and --data {path} reads it; use one of them")
    return task_named(request.task).read(path, request.password)


@lru_cache(maxsize=4)
def _evaluated(task: str, split: str, seed: int) -> tuple[State, ...]:
    """Return the evaluated subsample, cached for runs of several models."""
    return tuple(task_named(task).generate(split, seed, default_vocabulary(), subsampled=True))


def _unique(states: Iterable[State], source: str) -> Iterator[State]:
    """Yield the states, and refuse duplicates: predictions are matched by description."""
    seen: set[str] = set()
    for state in states:
        if state.description in seen:
            raise DataError(
                f"{source}: a state of sequence {state.sample_id} occurs twice, "
                f"{state.description[:60]!r}...; remove one"
            )
        seen.add(state.description)
        yield state
