"""Write files and print lines; shared by several verbs."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmark.fingerprints.record import Fingerprint


@dataclass(frozen=True, slots=True)
class Output:
    """Where a verb's result goes.

    Attributes:
        as_json: whether standard output gets JSON instead of tables.
        json_file: a file that gets the same JSON.
        quiet: whether progress and remarks are left out.
    """

    as_json: bool = False
    json_file: Path | None = None
    quiet: bool = False

    def result(self, document: object) -> None:
        """Print the result as JSON, and write it, each if it is wanted.

        Tables come before this: a file that cannot be written then loses nothing on the screen.

        Raises:
            SettingError: as :func:`write_late`.
        """
        if self.as_json:
            print(json.dumps(document, indent=2))
        if self.json_file:
            write_late(self.json_file, [json.dumps(document, indent=2), "\n"])

    def say(self, line: str) -> None:
        """Print a line of progress to standard error."""
        if not self.quiet:
            print(line, file=sys.stderr, flush=True)

    def remark(self, line: str) -> None:
        """Print a line about the result, such as the path of a written file."""
        if not self.quiet and not self.as_json:
            print(line)


def write_late(path: Path, parts: Iterable[str]) -> None:
    """Write a file after long work, in the folder that was checked before.

    Raises:
        SettingError: when the folder was moved or removed meanwhile; it is not made again.
    """
    from benchmark.writing import write_text

    check_folder_remains(path)
    write_text(path, parts, make_folder=False)


def check_folder_remains(path: Path) -> None:
    """Check after long work that the folder of a file is still there.

    Raises:
        SettingError: when it was moved or removed.
    """
    from benchmark.errors import SettingError

    if not path.parent.is_dir():
        raise SettingError(
            f"{path}: its folder was moved or removed meanwhile; nothing was written, rerun with a "
            "folder that stays"
        )


def check_writable(*paths: Path | None) -> None:
    """Check before long work that files can be written.

    Raises:
        SettingError: when a path is a folder or cannot be written.
        OSError: when the folder of a path cannot be made.
    """
    from benchmark.errors import SettingError
    from benchmark.writing import ensure_folder

    for path in filter(None, paths):
        if path.is_dir():
            raise SettingError(f"{path}: a folder; name a file")
        ensure_folder(path.parent)
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise SettingError(f"{path}: cannot be written; name another file")


_WRITTEN = ("--out", "--json-file", "--junit", "--report", "--history", "--page")
_MODEL = ("--model", "model")  # a text, since it may be the name of a repository


def check_distinct_files(arguments: Sequence[tuple[str, object]]) -> None:
    """Check that no file of a verb is written in the place of another one, such as its input.

    Devices and pipes may be given twice.

    Args:
        arguments: the names of options and arguments, with their values.

    Raises:
        SettingError: naming both.
    """
    from benchmark.errors import SettingError

    files = [
        (name, Path(os.path.realpath(value)))
        for name, values in arguments
        for value in (values if isinstance(values, list | tuple) else [values])
        if isinstance(value, Path) or (isinstance(value, str) and name in _MODEL)
    ]
    for name, path in files:
        if name not in _WRITTEN or (path.exists() and not path.is_file()):
            continue
        if other := next((n for n, p in files if n != name and _is_same(p, path)), None):
            raise SettingError(f"{name} {path}: {other} is the same file; name another")


def _is_same(one: Path, other: Path) -> bool:
    """Return whether two paths are one file, also under two names or spellings."""
    try:
        return one.samefile(other)
    except OSError:  # one of them does not exist
        return one == other


def check_fingerprint_path(out: Path) -> None:
    """Check before a fingerprint is made that it can be written.

    Raises:
        SettingError: for a suffix other than .json and .json.gz, and as :func:`check_writable`.
    """
    from benchmark.errors import SettingError

    if not out.name.endswith((".json", ".json.gz")):
        raise SettingError(f"--out {out}: name a file that ends in .json or .json.gz")
    check_writable(out)


def save_fingerprint(fingerprint: "Fingerprint", out: Path, output: Output) -> None:
    """Write a fingerprint, and print its path and the stages that failed.

    Raises:
        SettingError: as :func:`check_folder_remains`.
    """
    from benchmark.fingerprints.storage import failed, write_fingerprint

    check_folder_remains(out)
    write_fingerprint(fingerprint, out)
    for name, line in failed(fingerprint.stages).items():
        print(f"failed: {name}: {line}")
    output.remark(f"written: {out}")
