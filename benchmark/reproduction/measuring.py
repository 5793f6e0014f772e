"""Measure one model into a store; a model that is unavailable or too large has a reason instead."""

from collections.abc import Callable
from typing import TypeVar

from benchmark.errors import (
    BenchmarkError,
    DoesNotFitError,
    MissingLibraryError,
    UnavailableModelError,
    first_line,
)
from benchmark.reproduction.cluster import Measured, NotMeasured
from benchmark.runs.model_store import ModelStore
from benchmark.runs.requests import RunRequest

_Result = TypeVar("_Result")


def result_or_reason(measure: Callable[[], _Result]) -> _Result | str:
    """Return the result, or the reason why the model is unavailable or cannot run here."""
    try:
        return measure()
    except (UnavailableModelError, DoesNotFitError, MissingLibraryError) as error:
        return str(error)


def measure_model(store: ModelStore, request: RunRequest) -> Measured | NotMeasured:
    """Measure a model into the store, unless it is there; an error is the reason why it is not."""
    try:
        outcome = result_or_reason(lambda: _measured(store, request))
    except BenchmarkError as error:
        return NotMeasured(str(error))
    except Exception as error:  # noqa: BLE001  # of any library: the other models are measured
        return NotMeasured(f"{type(error).__name__}: {first_line(error)}")
    return NotMeasured(outcome, skipped=True) if isinstance(outcome, str) else outcome


def _measured(store: ModelStore, request: RunRequest) -> Measured:
    prepared = store.prepare(request)
    store.measure_prepared(request, prepared)
    return Measured(store.run_folder(request, prepared))
