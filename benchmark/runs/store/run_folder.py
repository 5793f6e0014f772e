"""The folder of a run: its predictions while it runs, and its result at the end.

``run.json`` has the identity of the run, ``predictions.jsonl`` grows batch by batch, and
``progress.json`` has the progress notes. At the end the predictions are sorted into the order of
the data and ``result.json`` is written. A killed run leaves complete predictions and at most one
incomplete line, which is dropped when the run is resumed.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Self

from benchmark.errors import DataError, ResumeError
from benchmark.locking import LockHeldError, locked
from benchmark.reading.documents import read_json
from benchmark.records import Completion
from benchmark.runs.progress_notes import NO_PROGRESS, REMEDY, ProgressNotes
from benchmark.runs.store.predictions_file import PredictionsFile
from benchmark.runs.store.run_identity import HasDigest, Identity, difference_from
from benchmark.writing import ensure_folder, is_present, write_text


class RunFolder:
    """The folder of one run, used by one process at a time."""

    def __init__(
        self,
        path: Path,
        identity: Identity,
        *,
        set_aside: bool = False,
        has_digest: HasDigest = lambda _: False,
    ) -> None:
        """Name the folder and the run; nothing is read or written yet.

        With ``set_aside`` a different run in the folder is moved to ``NAME.1`` next to it.
        ``has_digest`` says whether a recorded digest of an older version is of the model's files.
        """
        self.path = path
        self.predictions = path / "predictions.jsonl"
        self._file = PredictionsFile(self.predictions)
        self._run = path / "run.json"
        self.notes = path / "progress.json"
        self._result = path / "result.json"
        self.identity: dict[str, object] = json.loads(json.dumps(identity))
        """The identity; once the folder is locked, with the model's path as ``run.json`` has it."""
        self._set_aside = set_aside
        self._has_digest = has_digest
        self._lock = ExitStack()
        self._inode: tuple[int, int] | None = None
        """The folder itself, once it is locked: another one may get its path."""

    def __enter__(self) -> Self:
        """Lock the folder, which is new or of the same run.

        Raises:
            ResumeError: when another process uses it, or it holds a different run.
            NoLocksError: when its file system has no locks.
        """
        ensure_folder(self.path)
        lock = locked(self.path / ".lock", "writing here", "choose another --out", wait=False)
        try:
            self._lock.enter_context(lock)
        except LockHeldError as error:
            raise ResumeError(
                f"{self.path}: another process is writing here; wait until it ends"
            ) from error
        try:
            self._inode = _inode(self.path)
            self._claim()
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Release the folder."""
        self._lock.close()

    def read_predictions(self, states: Sequence[str] | None = None) -> dict[str, str]:
        """Return the predictions in the folder by description.

        An incomplete last line of an unfinished run is dropped.

        Args:
            states: the descriptions of the data, which the predictions are checked against.

        Raises:
            DataError: for two lines about a state, and a line about another state. For a finished
                run also when a line is missing, incomplete or in another place.
        """
        return self._file.read(states, finished=is_present(self._result))

    def append_predictions(self, predictions: Iterable[tuple[str, str | Completion]]) -> None:
        """Append predictions, each with its description, and flush them to disk."""
        with self._writing():
            self._file.append(predictions)

    def read_result(self) -> dict[str, object]:
        """Return the content of ``result.json``; empty if the run is not finished.

        Raises:
            DataError: when it is not a JSON object.
        """
        try:
            return read_json(self._result) if is_present(self._result) else {}
        except DataError as error:
            raise DataError(f"{error}; remove it, and the same command writes it again") from error

    def read_progress(self, largest_batch: int) -> ProgressNotes:
        """Return the progress notes; new ones if the run has not decoded anything.

        Raises:
            DataError: when the file is damaged, or has impossible values.
        """
        if not is_present(self.notes):
            return NO_PROGRESS
        try:
            document = read_json(self.notes)
        except DataError as error:
            raise DataError(f"{error}; {REMEDY}") from error
        return ProgressNotes.from_json(document, str(self.notes), largest_batch)

    def write_progress(self, notes: ProgressNotes) -> None:
        """Write the progress notes, for when the run is resumed."""
        self._write(self.notes, [json.dumps(notes.as_json()), "\n"])

    def finish(self, result: Mapping[str, object], descriptions: Iterable[str]) -> Path:
        """Sort the predictions into this order and write the result; return the result's path.

        Engines finish states in another order, which a finished run does not show.
        """
        with self._writing():
            self._file.finish(descriptions)
        if self.read_result() != json.loads(json.dumps(result)):
            self._write(self._result, [json.dumps(result, indent=2), "\n"])
        return self._result

    def _write(self, path: Path, parts: Iterable[str]) -> None:
        with self._writing():
            write_text(path, parts, make_folder=False)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Check before and after a failure that this is still the folder that was locked.

        Raises:
            ResumeError: when it was moved, removed or replaced.
        """
        self._check_place()
        try:
            yield
        except FileNotFoundError:
            self._check_place()
            raise

    def _check_place(self) -> None:
        if _inode(self.path) != self._inode:
            raise ResumeError(
                f"{self.path}: moved, removed or replaced while the run was writing to it; if it "
                "was moved, name its new place with --out to resume"
            )

    def _claim(self) -> None:
        problem = ""
        if is_present(self._run):
            try:
                stored = read_json(self._run)
            except DataError as error:
                problem = str(error)
            else:
                problem = difference_from(stored, self.identity, self._has_digest)
                if not problem:
                    self.identity = stored
                    return
        elif is_present(self.predictions):
            problem = "its run.json is missing"
        if problem:
            if not self._set_aside:
                raise ResumeError(
                    f"{self.path}: holds a different run ({problem}); choose another --out, or "
                    "move that run away with --set-aside"
                )
            self._move_away()
        self._write(self._run, [json.dumps(self.identity, indent=2), "\n"])

    def _move_away(self) -> None:
        """Move the run in the folder to the first free ``NAME.1``, ``NAME.2``, ..."""
        folder = self.path.resolve()  # "." has no name
        candidates = (folder.with_name(f"{folder.name}.{n}") for n in count(1))
        target = next(path for path in candidates if not path.exists())
        target.mkdir()
        # run.json is moved last: if this is interrupted, the folder still says which run it holds.
        for path in (self._result, self.predictions, self.notes, self._run):
            if path.exists():
                path.rename(target / path.name)


def _inode(folder: Path) -> tuple[int, int] | None:
    """Return what identifies a folder under any path; None if there is no such folder."""
    try:
        status = folder.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino
