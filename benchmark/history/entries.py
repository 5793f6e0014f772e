"""A history: a file of JSON lines, one per run of a watch, which only grows.

A line that was cut off by a kill or a full disk is the last one, and is replaced by the next run.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path

from benchmark.errors import DataError
from benchmark.locking import locked
from benchmark.reading.documents import json_object
from benchmark.reading.files import read_lines
from benchmark.writing import ensure_folder, open_regular_for_appending

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One run.

    Attributes:
        verb: the verb that made it, such as ``gate``.
        verdict: its verdict in one word.
        status: its exit status.
        alarms: what it raised, by names that stay the same from run to run.
        figures: numbers by name; each name is a series over time. Only finite ones are written.
        subject: what was compared, in words.
        watch: what is watched: the model and its settings, in words. Runs of other watches are
            other series.
        time: when it was written, as ISO 8601 in UTC.
    """

    verb: str
    verdict: str
    status: int
    alarms: Sequence[str] = ()
    figures: Mapping[str, float] = field(default_factory=dict)
    subject: str = ""
    time: str = ""
    watch: str = ""

    def line(self) -> str:
        """Return the entry as a line, with its end."""
        document = {
            "format": FORMAT,
            "time": self.time or datetime.now(UTC).isoformat(timespec="seconds"),
            "verb": self.verb,
            "watch": self.watch,
            "subject": self.subject,
            "verdict": self.verdict,
            "status": self.status,
            "alarms": sorted(self.alarms),
            "figures": {name: value for name, value in self.figures.items() if isfinite(value)},
        }
        return json.dumps(document, allow_nan=False) + "\n"


def append(path: Path, entry: Entry) -> None:
    """Append an entry to a history; a line without an end before it is removed.

    Raises:
        DataError: if the file is not a regular one, or its last whole line is no entry.
        NoLocksError: if its file system has no locks.
        OSError: if it cannot be written.
    """
    ensure_folder(path.parent)
    lock = path.with_name(f".{path.name}.lock")
    with locked(lock, "writing the same history", "name a --history elsewhere"):
        if path.exists():
            read_history(path)
            _remove_torn_line(path)
        with open_regular_for_appending(path, create=True) as file:
            file.write(entry.line().encode())
            file.flush()
            os.fsync(file.fileno())


def read_history(path: Path) -> list[Entry]:
    """Return the entries of a history, the oldest first.

    Raises:
        DataError: naming the line that is no entry, except for a last one without its end.
    """
    entries = list[Entry]()
    for number, line in enumerate(read_lines(path, regular=True), start=1):
        if not line.endswith("\n"):
            break
        if line.strip():
            entries.append(_entry(line, f"{path}:{number}"))
    return entries


def _remove_torn_line(path: Path) -> None:
    with path.open("rb+") as file:
        content = file.read()
        if content and not content.endswith(b"\n"):
            file.truncate(content.rfind(b"\n") + 1)


def _entry(line: str, where: str) -> Entry:
    row = json_object(line, where)
    if row.get("format") != FORMAT:
        raise DataError(f"{where}: no entry of a history of format {FORMAT}; name another file")
    alarms, figures, status = row.get("alarms"), row.get("figures"), row.get("status")
    texts = [row.get(name) for name in ("verb", "verdict", "subject", "time")]
    watch = row.get("watch", "")
    if (
        not isinstance(alarms, list)
        or not isinstance(figures, dict)
        or not all(isinstance(value, str) for value in (*texts, watch, *alarms))
        or not all(type(value) in {int, float} for value in (*figures.values(), status))
    ):
        raise DataError(f"{where}: not an entry as canary, gate, compare and fingerprint write it")
    try:
        numbers = {name: float(value) for name, value in figures.items()}
    except OverflowError as error:
        raise DataError(f"{where}: a figure is beyond the largest number") from error
    verb, verdict, subject, time = map(str, texts)
    return Entry(
        *(verb, verdict, _status(status, where), tuple(map(str, alarms)), numbers, subject, time),
        watch=str(watch),
    )


def _status(value: object, where: str) -> int:
    if not isinstance(value, int):
        raise DataError(f"{where}: the status must be a whole number")
    return value
