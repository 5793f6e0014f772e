"""Writing files so that a failure leaves what was there before."""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmark.errors import DataError


def write_text(path: Path, parts: Iterable[str]) -> None:
    """Write the parts to the file at once or not at all; line ends are as in the parts.

    A path that is not an ordinary file (a pipe, ``/dev/stdout``) is written to directly.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path == Path("/dev/stdout"):
        # Behind a redirect it is a file that others write to: not to be replaced or rewound.
        sys.stdout.writelines(parts)
        sys.stdout.flush()
        return
    if path.exists() and not path.is_file():
        with path.open("w", encoding="utf-8", newline="") as file:
            file.writelines(parts)
        return
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        file.writelines(parts)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside it to write to, which takes its place when all went well and is gone else."""
    path.parent.mkdir(parents=True, exist_ok=True)
    target = path.resolve()
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield temporary
        temporary.replace(target)
    except OSError as error:
        # Writing says what is wrong, but not where; its message names the file then.
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def read_object(path: Path) -> dict[str, object]:
    """The JSON object of a file.

    Raises:
        DataError: when it cannot be read or holds anything else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, FileNotFoundError):
            raise DataError(f"{path}: no such file; give one that is there") from error
        raise DataError(f"{path}: cannot be read: {error}; remove it or restore it") from error
    if not isinstance(found, dict):
        raise DataError(f"{path}: not a JSON object; remove it or restore it")
    return found
