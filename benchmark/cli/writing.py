"""What several verbs print and write."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmark.regression.record import Record


def say(line: str) -> None:
    """Tell how long work goes, beside what is printed at its end."""
    print(line, file=sys.stderr, flush=True)


def write_json(path: Path | None, document: object) -> None:
    """Write a document, whole or not at all, where one was asked for."""
    from benchmark.store.files import write_text

    if path:
        write_text(path, [json.dumps(document, indent=2), "\n"])


def keep_record(record: "Record", out: Path) -> None:
    """Write a record, and say where it is and which stages failed."""
    from benchmark.regression.storage import failed, write_record

    write_record(record, out)
    for name, line in failed(record.stages).items():
        print(f"failed: {name}: {line}")
    print(f"written: {out}")
