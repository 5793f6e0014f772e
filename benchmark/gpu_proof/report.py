"""The result of a stage: figures and checks, written as soon as they are there."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import Field

from benchmark.errors import BenchmarkError, DataError
from benchmark.gpu_proof.circumstances import Circumstances
from benchmark.models.validation import Entry, validate
from benchmark.reading.documents import read_json
from benchmark.writing import write_text

Status = Literal["unfinished", "proved", "failed", "not run"]


class NotHereError(BenchmarkError):
    """A stage cannot run here, for a reason that is no failure."""


@dataclass
class StageReport:
    """What a stage has found so far.

    Attributes:
        path: the JSON file.
        status: ``unfinished`` until the stage has ended.
        seconds: how long it took.
        figures: what was measured, by name.
        checks: what was checked, in words, and whether it holds.
        reason: why it did not run or has failed.
        circumstances: the code, the machine and the libraries that it ran with.
    """

    path: Path
    rehearsal: bool
    status: Status = "unfinished"
    seconds: float = 0.0
    figures: dict[str, object] = field(default_factory=dict)
    checks: dict[str, bool] = field(default_factory=dict)
    reason: str = ""
    circumstances: Circumstances = field(default_factory=dict)

    def figure(self, **figures: object) -> None:
        """Record figures, and write the file: a process that is ended later has shown these."""
        self.figures.update(figures)
        self.write()

    def check(self, words: str, holds: object) -> None:
        """Record a check, and write the file."""
        self.checks[words] = bool(holds)
        self.write()

    def end(self, seconds: float, *, reason: str = "", not_run: bool = False) -> None:
        """Record the end of the stage: proved if nothing failed and something was checked."""
        self.seconds, self.reason = round(seconds, 1), reason
        proved = not reason and self.checks and all(self.checks.values())
        self.status = "not run" if not_run else "proved" if proved else "failed"
        self.write()

    def as_json(self) -> dict[str, object]:
        """Return the content of the file."""
        document = asdict(self)
        del document["path"]
        return document

    def write(self) -> None:
        """Write the file."""
        write_text(self.path, [json.dumps(self.as_json(), indent=2, default=str), "\n"])


class _Stored(Entry):
    """The content of a report's file."""

    rehearsal: bool
    status: Status
    seconds: float
    figures: dict[str, object]
    checks: dict[str, bool]
    reason: str
    circumstances: Circumstances = Field(default_factory=dict)


def read_report(path: Path) -> StageReport | None:
    """Return the report in a file, None if there is no valid one."""
    try:
        document = read_json(path)
        stored = validate(_Stored, document, str(path))
    except (DataError, OSError):
        return None
    return StageReport(path, **dict(stored))
