"""The predictions of a run, which grow batch by batch and are sorted at its end."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmark.errors import ResumeError
from benchmark.reading.files import open_regular
from benchmark.records import Completion
from benchmark.scoring.predictions import (
    check_finished,
    check_known,
    ordered_lines,
    prediction_line,
    read_predictions,
)
from benchmark.writing import is_present, open_regular_for_appending, write_text

_BLOCK = 2**16
"""The bytes that are read at a time to find the last line's end."""


class PredictionsFile:
    """``predictions.jsonl``, written by one process at a time."""

    def __init__(self, path: Path) -> None:
        """Name the file; nothing is read or written yet."""
        self._path = path
        self._written: list[str] | None = None
        """The descriptions in the file, in its order, once it has been read."""
        self._size: int | None = None
        """The size of the file in bytes, once it has been read or written."""

    def read(self, states: Sequence[str] | None, *, finished: bool) -> dict[str, str]:
        """Return the predictions by description.

        An incomplete last line of an unfinished run is dropped.

        Args:
            states: the descriptions of the data, which the predictions are checked against.
            finished: whether the run is finished, so that the file has to be whole and in order.

        Raises:
            DataError: for two lines about a state, and a line about another state. For a finished
                run also when a line is missing, incomplete or in another place.
        """
        predictions = dict[str, str]()
        if is_present(self._path):
            if not finished:
                self._drop_incomplete_line()
            predictions = read_predictions(self._path, regular=True)
            self._size = self._path.stat().st_size
        if states is not None:
            check_known(predictions, states, str(self._path))
            if finished:
                check_finished(predictions, states, str(self._path))
        self._written = list(predictions)
        return predictions

    def append(self, predictions: Iterable[tuple[str, str | Completion]]) -> None:
        """Append predictions, each with its description, and flush them to disk.

        Raises:
            ResumeError: when the file was changed by another program.
            DataError: if it is a pipe, socket, device or folder.
            OSError: naming the file, if it cannot be written, or was removed.
        """
        added = list(predictions)
        lines = "".join(prediction_line(*pair) for pair in added)
        try:
            self._append(lines.encode())
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from error
        if self._written is not None:
            self._written += [description for description, _ in added]

    def finish(self, descriptions: Iterable[str]) -> None:
        """Sort the lines into the order of these descriptions, unless they are in it already.

        Raises:
            ResumeError: when the file was changed by another program.
            DataError: if a description has no line.
            OSError: naming the file, if it cannot be written, or was removed.
        """
        ordered = list(descriptions)
        self._check_size()
        if self._written != ordered:
            lines = ordered_lines(self._path, ordered) if is_present(self._path) else []
            write_text(self._path, lines, make_folder=False)

    def _append(self, lines: bytes) -> None:
        with open_regular_for_appending(self._path, create=not self._size) as file:
            self._check_size()
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
            self._size = os.fstat(file.fileno()).st_size

    def _check_size(self) -> None:
        if self._size is not None and self._path.stat().st_size != self._size:
            raise ResumeError(
                f"{self._path}: changed by another program while the run was writing to it; "
                "rerun to resume"
            )

    def _drop_incomplete_line(self) -> None:
        with open_regular(self._path) as file:
            end = size = file.seek(0, os.SEEK_END)
            while end:
                start = max(end - _BLOCK, 0)
                file.seek(start)
                line_end = file.read(end - start).rfind(b"\n") + 1
                end = start + line_end
                if line_end:
                    break
        if end < size:
            os.truncate(self._path, end)
