"""Write files atomically: a reader sees either the old or the new one, complete.

Content is first written to a hidden neighbour, ``.NAME.HOST-PID.part``, which replaces the old file
when it is complete. After a failure or a kill the old one is unchanged. The next writer
of the same name removes the neighbours of processes that have ended; those of running processes,
and of other machines on a shared file system, are kept. :mod:`benchmark.folder_writing` does the
same for folders.
"""

import errno
import os
import re
import shutil
import socket
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from benchmark.descriptors import is_stream, own_descriptor, write_stream
from benchmark.errors import DataError

_PART = re.compile(r"\.(?P<name>.+)\.(?P<host>[^.]+)-(?P<pid>\d+)\.(?:part|old)")
_OLDER_PART = re.compile(r"unfinished-(?P<pid>\d+)-.+")
"""Records in the making by versions before 0.3."""
_CLOCK_STEP = 60
"""How far the clock may be set while a process writes, in seconds."""


def ensure_folder(path: Path) -> None:
    """Make a folder with its parents, if it does not exist.

    Raises:
        OSError: if it cannot be made, saying what is in its place or in that of a parent.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        places = (place for place in (*reversed(path.parents), path) if os.path.lexists(place))
        place = next((place for place in places if not place.is_dir()), None)
        if place is None:
            raise
        problem = f"{_kind(place)}, not a folder; name another"
        raise OSError(error.errno, problem, str(place)) from error


def _kind(path: Path) -> str:
    """Return what is in the place of a folder, in words."""
    try:
        mode = path.stat().st_mode
    except OSError as error:  # a link to nothing or to itself
        return f"a link that cannot be followed ({error.strerror})"
    return "a file" if stat.S_ISREG(mode) else "a pipe, socket or device"


def write_text(path: Path, parts: Iterable[str], *, make_folder: bool = True) -> None:
    """Write the parts to the file atomically; line ends are as in the parts.

    A path that is not a file of its own (a pipe, ``/dev/stderr``) is written to directly.
    Without ``make_folder`` the folder of the file must exist: one that was there before, and was
    moved or removed meanwhile, is not made again.

    Raises:
        DataError: if it is a pipe that no program reads.
        OSError: naming the file, if it cannot be written.
    """
    if is_stream(path):
        write_stream(path, parts)
        return
    if make_folder:
        ensure_folder(path.parent)
    with (
        replacing(path, make_folder=make_folder) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        file.writelines(parts)


def open_regular_for_appending(path: Path, *, create: bool, advice: str = "remove it") -> BinaryIO:
    """Open a regular file for appending; anything else is refused, with the advice.

    Raises:
        DataError: if it is a pipe, socket, device or folder.
        OSError: if it cannot be opened.
    """
    if path.exists() and not path.is_file():
        raise DataError(f"{path}: not a regular file; {advice}")
    flags = os.O_WRONLY | os.O_APPEND | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags | (os.O_CREAT if create else 0), 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # it was replaced in between
        os.close(descriptor)
        raise DataError(f"{path}: not a regular file; {advice}")
    return os.fdopen(descriptor, "ab")


def write_bytes(path: Path, content: bytes, *, make_folder: bool = True) -> None:
    """Write the file atomically, as :func:`write_text` does.

    Raises:
        OSError: naming the file, if it cannot be written.
    """
    with replacing(path, make_folder=make_folder) as temporary:
        temporary.write_bytes(content)


@contextmanager
def replacing(path: Path, *, make_folder: bool = True) -> Iterator[Path]:
    """Yield a path to write a file to; the file replaces ``path`` if no error is raised.

    Raises:
        DataError: if it is a pipe, socket, device or folder.
        OSError: naming the file, if it cannot be written.
    """
    if make_folder:
        ensure_folder(path.parent)
    if own_descriptor(path) is not None or (path.exists() and not path.is_file()):
        raise DataError(f"{path}: not a regular file; name one")
    target = resolved(path)
    remove_leftovers(target)
    temporary = unfinished_name(target)
    try:
        yield temporary
        _synchronize(temporary)
        temporary.replace(target)
    except OSError as error:
        # The error of a write does not name the file.
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with suppress(OSError):  # of a folder that was made read-only, after the first error
            temporary.unlink(missing_ok=True)


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """Yield a new hidden folder next to ``path``, to make its new content in; it is removed again.

    Those that ended processes have left for the same path are removed first.

    Raises:
        OSError: if it cannot be made.
    """
    ensure_folder(path.parent)
    target = resolved(path)
    remove_leftovers(target)
    temporary = unfinished_name(target)
    temporary.mkdir()
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_all_leftovers(folder: Path) -> list[Path]:
    """Remove what ended processes of this machine have left in a folder, for any file of it.

    Returns:
        What cannot be removed.
    """
    remaining = list[Path]()
    with suppress(OSError):
        for path in sorted(folder.iterdir()):
            match = _PART.fullmatch(path.name) or _OLDER_PART.fullmatch(path.name)
            if match is None or path.suffix == ".old":  # the only copy of what it replaces
                continue
            here = match.groupdict().get("host", host_name()) == host_name()
            if here and not owns(int(match["pid"]), path):
                _remove(path)
                remaining += [path] * os.path.lexists(path)
    return remaining


def remove_leftovers(target: Path) -> None:
    """Remove neighbours of the file or folder that ended processes of this machine have left."""
    for leftover, pid in neighbours(target):
        if leftover.name.endswith(".part") and not owns(pid, leftover):
            _remove(leftover)


def resolved(path: Path) -> Path:
    """Return the path without links.

    Raises:
        OSError: naming the path, if its links form a loop.
    """
    try:
        path.stat()  # Path.resolve raises another error, and none since Python 3.13
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise
    return path.resolve()


def neighbours(target: Path) -> Iterator[tuple[Path, int]]:
    """Yield this machine's hidden neighbours of a path, with their processes."""
    with suppress(OSError):
        for path in sorted(target.parent.iterdir()):
            match = _PART.fullmatch(path.name)
            if match and match["name"] == target.name and match["host"] == host_name():
                yield path, int(match["pid"])


def is_present(path: Path) -> bool:
    """Return whether there is something at the path; a link that cannot be followed is an error.

    Raises:
        OSError: naming the path, for a loop of links, which :meth:`Path.exists` takes for nothing.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def is_unfinished(path: Path) -> bool:
    """Return whether the name is that of a hidden neighbour."""
    return bool(_PART.fullmatch(path.name))


def unfinished_name(target: Path, ending: str = "part") -> Path:
    """Return this process's hidden neighbour of a path."""
    return target.with_name(f".{target.name}.{host_name()}-{os.getpid()}.{ending}")


def host_name() -> str:
    """Return the name of this machine, as a part of a file's name."""
    return re.sub(r"[^\w]", "_", socket.gethostname()) or "host"


def owns(pid: int, path: Path) -> bool:
    """Return whether the process that made a file or folder still runs.

    A process that began after the last change of the path has only inherited the number.
    """
    if not _lives(pid):
        return False
    try:
        began = Path(f"/proc/{pid}").stat().st_ctime
        return began <= path.lstat().st_mtime + _CLOCK_STEP
    except OSError:  # no /proc here, or one of the two has just ended
        return _lives(pid)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _synchronize(path: Path) -> None:
    """Write the content to disk before the rename makes it visible."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
