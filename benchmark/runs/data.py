"""The states that are asked about, and what predictions about them come to."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path

from benchmark.boxes.vocabulary import default_vocabulary
from benchmark.errors import DataError, SettingError
from benchmark.records import State
from benchmark.runs.requests import DataRequest
from benchmark.scoring.predictions import match, read_predictions
from benchmark.stats.summary import Summary, summarize
from benchmark.tasks import task_named


def load_states(request: DataRequest) -> list[State]:
    """The states asked for: the first so many, in the order of the data.

    Raises:
        DataError: when the data cannot be read, has no states, or one of them twice.
        SettingError: for a number of states below 1 or above what there is, and for options
            that say nothing about the data asked for.
    """
    check_number(request)
    states = list(islice(_once(_source(request), str(request.path)), request.states))
    if not states:
        raise DataError(f"{request.path}: no states in this file")
    if request.states is not None and len(states) < request.states:
        raise SettingError(f"--states {request.states}: the data has {len(states)}; ask for fewer")
    return states


def check_number(request: DataRequest) -> None:
    """Check the number of states asked for, without reading any.

    Raises:
        SettingError: for a number below 1.
    """
    if request.states is not None and request.states < 1:
        raise SettingError(f"--states {request.states}: at least 1 is needed")


def score_files(predictions: Path, gold: DataRequest, *, partial: bool) -> dict[str, Summary]:
    """Return the summary of a file of predictions against gold states, by every score."""
    pairs = match(
        load_states(gold), read_predictions(predictions), str(predictions), partial=partial
    )
    scored = list(pairs)
    if not scored:
        raise DataError(f"{predictions}: no prediction for any state of the gold data")
    states, texts = zip(*scored, strict=True)
    scores = task_named(gold.task).outcomes(states, texts)
    return {by: summarize(outcomes) for by, outcomes in scores.items()}


def _source(request: DataRequest) -> Iterator[State]:
    path, zipped = request.path, bool(request.path and request.path.suffix.lower() == ".zip")
    if request.password is not None and not zipped:
        raise SettingError("--password is for the authors' ZIP; give that with --data, or leave it")
    if path is None:
        return iter(_evaluated(request.task, request.split, request.seed or 0))
    if request.seed is not None:
        raise SettingError(f"--seed generates data, and --data {path} gives it; use one of them")
    return task_named(request.task).read(path, request.password)


@lru_cache(maxsize=4)
def _evaluated(task: str, split: str, seed: int) -> tuple[State, ...]:
    """Return the evaluated subsample: each of many models is asked about the same one."""
    return tuple(task_named(task).generate(split, seed, default_vocabulary(), subsampled=True))


def _once(states: Iterable[State], source: str) -> Iterator[State]:
    """The states, if none comes twice: predictions are told apart by their descriptions."""
    seen: set[str] = set()
    for state in states:
        if state.description in seen:
            raise DataError(
                f"{source}: a state of sequence {state.sample_id} comes twice, "
                f"{state.description[:60]!r}...; remove one"
            )
        seen.add(state.description)
        yield state
