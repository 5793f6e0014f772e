"""What several verbs print and write."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmark.fingerprints.record import Fingerprint


def say(line: str) -> None:
    """Tell how long work goes, beside what is printed at its end."""
    print(line, file=sys.stderr, flush=True)


def write_json(path: Path | None, document: object) -> None:
    """Write a document, whole or not at all, where one was asked for."""
    from benchmark.writing import write_text

    if path:
        write_text(path, [json.dumps(document, indent=2), "\n"])


def check_outputs(*paths: Path | None) -> None:
    """Find out before long work, and not after it, that a file cannot be written.

    Raises:
        SettingError: naming the one that is a folder, or in a folder that is not to be written to.
        OSError: when its folder cannot be made.
    """
    from benchmark.errors import SettingError

    for path in (each for each in paths if each is not None):
        if path.is_dir():
            raise SettingError(f"{path}: a folder; name a file")
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise SettingError(f"{path}: cannot be written; name another file")


def check_record_name(out: Path) -> None:
    """Refuse a file that a record is not written to, before it is made.

    Raises:
        SettingError: for another ending than .json and .json.gz, and as :func:`check_outputs`.
    """
    from benchmark.errors import SettingError

    if not out.name.endswith((".json", ".json.gz")):
        raise SettingError(f"--out {out}: name a file that ends in .json or .json.gz")
    check_outputs(out)


def keep_record(record: "Fingerprint", out: Path) -> None:
    """Write a record, and say where it is and which stages failed."""
    from benchmark.fingerprints.storage import failed, write_fingerprint

    write_fingerprint(record, out)
    for name, line in failed(record.stages).items():
        print(f"failed: {name}: {line}")
    print(f"written: {out}")
