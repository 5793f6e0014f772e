"""Record stages one by one; a stage that raises is recorded as failed."""

import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, cast

from benchmark.errors import BenchmarkError
from benchmark.fingerprints.digests import IMPORT_FAILURE, StageRecord
from benchmark.fingerprints.stage import Recording, Stage, StageRow

T = TypeVar("T")


class MissingStageError(Exception):
    """A stage needs the value of an earlier stage that failed."""


@dataclass
class StageRecorder:
    """The stages recorded so far, each with its digests or its error.

    Errors of libraries are recorded. With ``refusing``, the benchmark's own are raised: those of a
    model that ``run`` refuses, too.
    """

    refusing: bool = False
    stages: dict[str, StageRecord] = field(default_factory=dict)
    _values: dict[str, object] = field(default_factory=dict)

    def take(self, row: StageRow, run: Recording) -> None:
        """Record a stage by its row, unless it is recorded already."""
        if row.name not in self.stages:
            self._keep(row.name, lambda: row.take(run))

    def value(self, stage: Stage[T], run: Recording) -> T | None:
        """Return a stage's value, recording it first if necessary; None if it failed."""
        self.take(stage, run)
        # Each name has one row, whose own function made the value.
        return cast("T | None", self._values.get(stage.name))

    def make(self, stage: Stage[T], make: Callable[[], T]) -> T | None:
        """Record a stage whose value another function makes; return the value."""
        return self.attempt(stage.name, make, stage.digests)

    def attempt(
        self, name: str, make: Callable[[], T], digests: Callable[[T], Iterable[str]]
    ) -> T | None:
        """Record a value under a name; return it, or None if making it raises."""

        def take() -> tuple[T, tuple[str, ...]]:
            value = make()
            return value, tuple(digests(value))

        return self._keep(name, take)

    def _keep(self, name: str, take: Callable[[], tuple[T, tuple[str, ...]]]) -> T | None:
        try:
            value, digests = take()
        except Exception as error:
            if self.refusing and isinstance(error, BenchmarkError):
                raise
            self.stages[name] = StageRecord(failed=line(error))
            return None
        self.stages[name], self._values[name] = StageRecord(digests), value
        return value


def require(value: T | None, stage: str) -> T:
    """Return the value of an earlier stage.

    Raises:
        MissingStageError: when that stage failed.
    """
    if value is None:
        raise MissingStageError(f"not reached: {stage} failed")
    return value


def line(error: Exception) -> str:
    """Return an error in one line: its class, its message, and where it was raised first.

    Our own errors repeat a library's message; the source line is then the library's. An error on
    import begins with :data:`IMPORT_FAILURE`.
    """
    text = " ".join(str(error).split())[:300]
    if isinstance(error, MissingStageError):
        return text
    first: BaseException = error
    while first.__cause__ is not None:
        first = first.__cause__
    frames = traceback.extract_tb(first.__traceback__)
    where = f" ({_short(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""
    prefix = IMPORT_FAILURE if _is_import_failure(first, frames) else ""
    return f"{prefix}{type(error).__name__}: {text}{where}"


def _is_import_failure(error: BaseException, frames: traceback.StackSummary) -> bool:
    """Return whether an error is an ImportError, or was raised while a module was imported.

    A traceback starts where the error was caught, so that a module's own code is in it only if the
    module was being imported.
    """
    return isinstance(error, ImportError) or any(frame.name == "<module>" for frame in frames)


def _short(path: str) -> str:
    """Return a path without the part that depends on the machine."""
    _, separator, inside = path.rpartition("site-packages/")
    return inside if separator else "/".join(Path(path).parts[-3:])
