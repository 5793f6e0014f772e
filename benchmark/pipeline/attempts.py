"""Stages one after the other, where one that breaks is a finding and not the end."""

import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from benchmark.errors import SettingError
from benchmark.regression.stages import Stage

T = TypeVar("T")


class MissingStageError(Exception):
    """What a stage works on is not there, since an earlier one failed."""


@dataclass
class Attempts:
    """The stages so far, each with its fingerprints or with the error that ended it."""

    stages: dict[str, Stage] = field(default_factory=dict)

    def make(
        self, name: str, make: Callable[[], T], prints: Callable[[T], Iterable[str]]
    ) -> T | None:
        """What the stage gives, its fingerprints kept; None where it raises.

        Raises:
            SettingError: when the stage was asked for what it cannot do, which is no finding.
        """
        try:
            made = make()
            self.stages[name] = Stage(tuple(prints(made)))
        except SettingError:
            raise
        except Exception as error:  # noqa: BLE001  # whatever a library raises is the finding
            self.stages[name] = Stage(failed=line(error))
            return None
        return made


def needed(value: T | None, stage: str) -> T:
    """The value of an earlier stage.

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
