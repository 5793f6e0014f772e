"""Turn any error into one line for the user; tracebacks of unexpected ones go to a file."""

import errno
import os
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from benchmark.errors import BenchmarkError

_OF_FILES = {errno.EIO, errno.ENOSPC, errno.EFBIG, errno.EROFS, errno.EDQUOT, errno.ESTALE}
"""The errors that only a file or its file system has."""


def error_line(error: BaseException) -> str:
    """Return one line with the cause, the file and what to do next.

    The traceback of an error that is neither the benchmark's own nor one of a named file is written
    to a file, which the line names.
    """
    text = " ".join(str(error).split())
    if isinstance(error, BenchmarkError):
        return text
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, FileNotFoundError) and not _has_working_directory():
        return "the working directory was removed; change to another"
    if isinstance(error, OSError) and error.strerror:
        # A write to an open file does not name it.
        subject = "a file" if error.errno in _OF_FILES else type(error).__name__
        return f"{subject}: {error.strerror}; {_where(error)}"
    if isinstance(error, MemoryError):
        return f"out of memory; use a smaller --batch-size or model; {_where(error)}"
    return (
        f"{type(error).__name__}: {text or 'no message'}; "
        f"this is a fault of the benchmark or of a library: {_where(error)}"
    )


def _has_working_directory() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True


def _where(error: BaseException) -> str:
    """Write the traceback to the first folder that can be written to, and say where it is."""
    lines = "".join(traceback.format_exception(error))
    name = f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}-{os.getpid()}.txt"
    for folder in _folders():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(lines, encoding="utf-8", errors="backslashreplace")
        except OSError:
            continue
        return f"the traceback is in {folder / name}"
    return "the traceback could not be written; set TMPDIR to a folder that can be"


def _folders() -> Iterator[Path]:
    """Yield the folders for tracebacks: that of downloads, then the system's temporary one.

    The first is unknown for a user without a home, the second on a system that is read-only.
    """
    from benchmark.models.cache_folder import cache_folder

    with suppress(OSError, RuntimeError):
        yield cache_folder() / "tracebacks"
    with suppress(OSError):
        yield Path(tempfile.gettempdir())
