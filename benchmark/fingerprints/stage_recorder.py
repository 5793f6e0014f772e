"""Stages one after the other, where one that breaks is a finding and not the end."""

import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, cast

from benchmark.fingerprints.digests import StageRecord
from benchmark.fingerprints.stage import Recording, Stage, StageRow

T = TypeVar("T")


class MissingStageError(Exception):
    """What a stage works on is not there, since an earlier one failed."""


@dataclass
class StageRecorder:
    """The stages so far, each with its digests or with the error that ended it."""

    stages: dict[str, StageRecord] = field(default_factory=dict)
    _values: dict[str, object] = field(default_factory=dict)

    def take(self, row: StageRow, run: Recording) -> None:
        """Record a stage as its row makes it, unless it is recorded already."""
        if row.name not in self.stages:
            self._keep(row.name, lambda: row.take(run))

    def value(self, stage: Stage[T], run: Recording) -> T | None:
        """Return a stage's value, which is recorded first if it is not yet; None if it failed."""
        self.take(stage, run)
        # A name has one row, and the row's own maker made the value.
        return cast("T | None", self._values.get(stage.name))

    def make(self, stage: Stage[T], make: Callable[[], T]) -> T | None:
        """Record a stage whose value is made in another way; return the value."""
        return self.attempt(stage.name, make, stage.digests)

    def attempt(
        self, name: str, make: Callable[[], T], digests: Callable[[T], Iterable[str]]
    ) -> T | None:
        """Record under this name what is made; return it, or None if making it raises."""

        def taken() -> tuple[T, tuple[str, ...]]:
            value = make()
            return value, tuple(digests(value))

        return self._keep(name, taken)

    def _keep(self, name: str, take: Callable[[], tuple[T, tuple[str, ...]]]) -> T | None:
        try:
            value, digests = take()
        except Exception as error:  # noqa: BLE001  # whatever a library raises is the finding
            self.stages[name] = StageRecord(failed=line(error))
            return None
        self.stages[name], self._values[name] = StageRecord(digests), value
        return value


def needed(value: T | None, stage: str) -> T:
    """Return the value of an earlier stage.

    Raises:
        MissingStageError: when that stage failed.
    """
    if value is None:
        raise MissingStageError(f"not reached: {stage} failed")
    return value


def line(error: Exception) -> str:
    """An error in one line: its kind, what it says, and the line of code it came from first.

    Our own errors repeat what a library said; the place is the library's.
    """
    text = " ".join(str(error).split())[:300]
    if isinstance(error, MissingStageError):
        return text
    first: BaseException = error
    while first.__cause__ is not None:
        first = first.__cause__
    frames = traceback.extract_tb(first.__traceback__)
    where = f" ({_short(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {text}{where}"


def _short(path: str) -> str:
    """A file as every machine has it: from its package on."""
    _, found, inside = path.rpartition("site-packages/")
    return inside if found else "/".join(Path(path).parts[-3:])
