"""A run's folder: predictions as they come, and the result when they are all there.

``run.json`` says which run it is, ``predictions.jsonl`` grows by a batch at a time,
``progress.json`` notes how it goes. When the run is over the predictions are put in the order of
the data and ``result.json`` is written. A killed run leaves whole predictions and at most one torn
line, which is dropped when the same run goes on.
"""

import json
import os
from collections.abc import Iterable, Mapping
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

from benchmark.errors import ResumeError
from benchmark.reading import read_json
from benchmark.scoring.predictions import prediction_line, read_predictions
from benchmark.writing import write_text

Identity = Mapping[str, object]
"""Everything that can change a score; JSON values by name."""


class RunFolder:
    """The folder of one run, held by one process at a time."""

    def __init__(self, path: Path, identity: Identity, *, set_aside: bool = False) -> None:
        """Name the folder and the run; nothing is touched yet.

        With ``set_aside`` another run that is there is moved into a folder beside it.
        """
        self.path = path
        self.predictions = path / "predictions.jsonl"
        self._run = path / "run.json"
        self._notes = path / "progress.json"
        self._result = path / "result.json"
        self._identity: dict[str, object] = json.loads(json.dumps(identity))
        self._set_aside = set_aside
        self._lock = FileLock(path / ".lock")
        self._written: list[str] | None = None
        """The descriptions in the file of predictions, in its order, once it has been read."""

    def __enter__(self) -> Self:
        """Take the folder, new or left by the same run.

        Raises:
            ResumeError: when another process holds it, or it holds another run.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise ResumeError(
                f"{self.path}: another process is writing here; wait for it"
            ) from error
        try:
            self._claim()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the folder back."""
        self._lock.release()

    def finished(self) -> dict[str, str]:
        """The predictions that are there, by description, after dropping a torn last line."""
        there = {}
        if self.predictions.exists():
            self._drop_torn_line()
            there = read_predictions(self.predictions)
        self._written = list(there)
        return there

    def append(self, predictions: Iterable[tuple[str, str]]) -> None:
        """Add finished predictions, as (description, text), and have them on disk."""
        added = list(predictions)
        lines = "".join(prediction_line(description, text) for description, text in added)
        try:
            with self.predictions.open("a", encoding="utf-8", newline="") as file:
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.predictions)) from error
        if self._written is not None:
            self._written += [description for description, _ in added]

    def result(self) -> dict[str, object]:
        """The result that was written when the run was over; empty before."""
        return read_json(self._result) if self._result.exists() else {}

    def notes(self) -> dict[str, object]:
        """What was noted last about how the run goes; empty at its beginning."""
        return read_json(self._notes) if self._notes.exists() else {}

    def note(self, notes: Mapping[str, object]) -> None:
        """Keep how the run goes, for when it is resumed."""
        write_text(self._notes, [json.dumps(notes), "\n"])

    def finish(self, result: Mapping[str, object], predictions: Iterable[tuple[str, str]]) -> Path:
        """Put the predictions into this order, and write the result; return its path.

        Engines finish states in an order of their own; a finished run's file shows none of it.
        """
        ordered = list(predictions)
        if self._written != [description for description, _ in ordered]:
            write_text(self.predictions, [prediction_line(*each) for each in ordered])
        if self.result() != json.loads(json.dumps(result)):
            write_text(self._result, [json.dumps(result, indent=2), "\n"])
        return self._result

    def _claim(self) -> None:
        problem = ""
        if self._run.exists():
            problem = _difference(read_json(self._run), self._identity)
            if not problem:
                return
        elif self.predictions.exists():
            problem = "no run.json says which"
        if problem:
            if not self._set_aside:
                raise ResumeError(
                    f"{self.path}: holds another run ({problem}); choose another --out, or move it "
                    "away with --set-aside"
                )
            self._move_away()
        write_text(self._run, [json.dumps(self._identity, indent=2), "\n"])

    def _move_away(self) -> None:
        """Move the run that is there to the first free ``NAME.1``, ``NAME.2``, ..."""
        here = self.path.resolve()  # "." has no name
        beside = (here.with_name(f"{here.name}.{n}") for n in count(1))
        target = next(path for path in beside if not path.exists())
        target.mkdir()
        # What says which run it is goes last, so that a kill in between leaves no riddle.
        for path in (self._result, self.predictions, self._notes, self._run):
            if path.exists():
                path.rename(target / path.name)

    def _drop_torn_line(self) -> None:
        with self.predictions.open("r+b") as file:
            content = file.read()
            whole = content.rfind(b"\n") + 1
            if whole < len(content):
                file.truncate(whole)


def _difference(there: object, asked: object, name: str = "run") -> str:
    """What differs first, in words, down to the innermost name; empty when nothing does."""
    if isinstance(there, dict) and isinstance(asked, dict):
        parts = (_difference(there.get(key), asked.get(key), key) for key in [*asked, *there])
        return next(filter(None, parts), "")
    return "" if there == asked else f"{name} was {json.dumps(there)}, now {json.dumps(asked)}"
