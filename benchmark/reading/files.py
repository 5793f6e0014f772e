"""Open and read regular files, and lines from pipes."""

import os
import select
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from benchmark.errors import DataError, reason
from benchmark.reading.bounds import READ_MORE, current_bounds, size

_WAIT = 5.0
"""The seconds that a program has to begin to write to a pipe."""


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading; opening a pipe, socket or device may never end.

    Raises:
        DataError: if it is something else.
        OSError: if it cannot be opened.
    """
    # A pipe without a writer is then opened immediately, and refused.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DataError(f"{path}: not a regular file; give one")
    return os.fdopen(descriptor, "rb")


def read_bytes(path: Path, bound: int | None = None) -> bytes:
    """Return the content of a regular file.

    Args:
        path: the file.
        bound: the number of bytes that it may have; by default that of a document.

    Raises:
        DataError: if it is longer, or not a regular file.
        OSError: if it cannot be read.
    """
    limit = current_bounds().document if bound is None else bound
    with open_regular(path) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise DataError(f"{path}: longer than {size(limit)}; {READ_MORE}")
    return content


def read_text(path: Path) -> str:
    """Return the text of a document in UTF-8; a byte order mark in front is dropped.

    Raises:
        DataError: if it cannot be read, is not UTF-8 or too long.
    """
    try:
        return read_bytes(path).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {reason(error)}") from error


def read_lines(path: Path, *, regular: bool = False) -> Iterator[str]:
    """Yield the lines of a file in UTF-8, with their ends; a byte order mark is dropped.

    A pipe (``--data <(zcat data.jsonl.gz)``) is read line by line, too, unless only a ``regular``
    file is accepted.

    Raises:
        DataError: if it cannot be read, is not UTF-8, or has a line that is too long.
    """
    try:
        with open_regular(path) if regular else _open_readable(path) as file:
            yield from decoded_lines(file, str(path))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {reason(error)}") from error


def _open_readable(path: Path) -> BinaryIO:
    """Open a file, a device, or a pipe that a program writes to.

    Raises:
        DataError: if no program opens the pipe for writing within seconds.
        OSError: if it cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    if stat.S_ISFIFO(os.fstat(descriptor).st_mode) and not _has_writer(descriptor):
        os.close(descriptor)
        raise DataError(f"{path}: no program writes to this pipe; start one, or name a file")
    os.set_blocking(descriptor, True)
    return os.fdopen(descriptor, "rb")


def _has_writer(pipe: int) -> bool:
    """Return whether a pipe that does not block has content, or a program that may write some."""
    if select.select([pipe], [], [], _WAIT)[0]:
        return True
    try:
        os.read(pipe, 1)  # at its end at once, if no program has opened it
    except BlockingIOError:
        return True
    return False


def decoded_lines(file: BinaryIO, source: str) -> Iterator[str]:
    """Yield the lines of an open file as :func:`read_lines` does; ``source`` names it in errors.

    Raises:
        DataError: naming source and line, if a line is not UTF-8 or too long.
    """
    limit = current_bounds().line
    number = 0
    while line := file.readline(limit + 1):
        number += 1
        if len(line) > limit:
            raise DataError(f"{source}:{number}: a line longer than {size(limit)}; {READ_MORE}")
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{source}:{number}: cannot be read: {error.reason}") from error


def files_named(name: str, folder: Path) -> list[Path]:
    """Return what has this name in or below a folder; links to folders are not followed.

    Unlike ``Path.rglob``, it includes links that lead nowhere or to themselves. A folder that does
    not exist has no such files.

    Raises:
        OSError: naming it, if a folder cannot be listed.
    """

    def check(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise error

    walk = os.walk(folder, onerror=check)
    return [Path(root, name) for root, folders, files in walk if name in (*folders, *files)]
