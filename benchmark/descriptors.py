"""Outputs that are not files of their own: pipes, devices, and descriptors that are already open.

``/dev/stderr``, ``/dev/fd/N`` and ``/proc/self/fd/N`` are links to what a descriptor of this
process has open. Behind a redirect of a shell that is a file with the output of others, such as a
log: replacing it, or writing to it from its start, would lose that output.
"""

import errno
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from benchmark.errors import DataError

_STANDARD = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
_FOLDER = re.compile(r"/dev/fd|/proc/(?:self|thread-self|(?P<pid>\d+)(?:/task/\d+)?)/fd")
_MOST_LINKS = 40
"""How many links are followed, as by Linux."""


def own_descriptor(path: Path) -> int | None:
    """Return the descriptor of this process that a path names, also by links; None if it is none.

    The descriptor need not be open.
    """
    for _ in range(_MOST_LINKS):
        if str(path) in _STANDARD:
            return _STANDARD[str(path)]
        folder = Path(os.path.realpath(path.parent))
        for name in (str(path.parent), str(folder)):
            match = _FOLDER.fullmatch(name)
            is_own = match and match["pid"] in {None, str(os.getpid())}
            if is_own and path.name.isascii() and path.name.isdigit():
                return int(path.name)
        if not path.is_symlink():
            return None
        path = folder / path.readlink()
    return None


def is_stream(path: Path) -> bool:
    """Return whether it is a pipe, a socket, a device or a descriptor, which is not replaced."""
    is_special = path.exists() and not path.is_file() and not path.is_dir()
    return is_special or own_descriptor(path) is not None


def write_stream(path: Path, parts: Iterable[str]) -> None:
    """Write the parts to a pipe, a device or a descriptor, after what was written there before.

    Raises:
        DataError: if it is a pipe that no program reads.
        OSError: naming the path, if it cannot be written.
    """
    descriptor = own_descriptor(path)
    if descriptor == _STANDARD["/dev/stdout"]:
        sys.stdout.writelines(parts)
        sys.stdout.flush()
        return
    sys.stderr.flush()
    try:
        with _open_pipe(path) if descriptor is None else _open_copy(descriptor) as file:
            file.writelines(part.encode() for part in parts)
    except OSError as error:
        if error.errno in {errno.ENXIO, errno.EPIPE}:
            raise DataError(f"{path}: no program reads it; start one, or name a file") from error
        raise OSError(error.errno, error.strerror, str(path)) from error


def _open_copy(descriptor: int) -> BinaryIO:
    """Open a copy of a descriptor, which has the same position in its file."""
    return os.fdopen(os.dup(descriptor), "wb")


def _open_pipe(path: Path) -> BinaryIO:
    """Open a pipe or device for writing; a pipe without a reader would wait for one for ever."""
    descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
    os.set_blocking(descriptor, True)
    return os.fdopen(descriptor, "wb")
