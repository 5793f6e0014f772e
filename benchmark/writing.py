"""Write files and folders atomically: a reader sees either the old or the new one, complete.

Content is first written to a hidden neighbour, ``.NAME.HOST-PID.part``, which replaces the old file
or folder when it is complete. After a failure or a kill the old one is unchanged. The next writer
of the same name removes the neighbours of processes that have ended; those of running processes,
and of other machines on a shared file system, are kept.
"""

import ctypes
import errno
import os
import re
import shutil
import socket
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmark.errors import DataError

_PART = re.compile(r"\.(?P<name>.+)\.(?P<host>[^.]+)-(?P<pid>\d+)\.(?:part|old)")
_OLDER_PART = re.compile(r"unfinished-(?P<pid>\d+)-.+")
"""Records in the making by versions before 0.3."""
_CLOCK_STEP = 60
"""How far the clock may be set while a process writes, in seconds."""
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
"""Arguments of Linux's ``renameat2``."""


def write_text(path: Path, parts: Iterable[str], *, make_folder: bool = True) -> None:
    """Write the parts to the file atomically; line ends are as in the parts.

    A path that is not an ordinary file (a pipe, ``/dev/stdout``) is written to directly.
    Without ``make_folder`` the folder of the file must exist: one that was there before, and was
    moved or removed meanwhile, is not made again.

    Raises:
        OSError: naming the file, if it cannot be written.
    """
    if make_folder:
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
    with (
        replacing(path, make_folder=make_folder) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        file.writelines(parts)


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
        OSError: naming the file, if it cannot be written.
    """
    if make_folder:
        path.parent.mkdir(parents=True, exist_ok=True)
    target = path.resolve()
    remove_leftovers(target)
    temporary = _part(target)
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
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder to fill; it replaces ``path`` if no error is raised.

    Files in subfolders that the new folder lacks are kept. A folder that has other entries, or that
    is the working directory, is not replaced: its files are replaced one by one.

    Raises:
        DataError: if ``path`` is a file.
        OSError: naming the folder, if it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    target = path.resolve()
    if target.exists() and not target.is_dir():
        raise DataError(f"{path}: a file; name a folder")
    _restore(target)
    remove_leftovers(target)
    temporary = _part(target)
    try:
        temporary.mkdir()
        filled = temporary.stat()
        yield temporary
        _check_filled(temporary, filled)
        _exchange(temporary, target)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """Yield a new hidden folder next to ``path``, to make its new content in; it is removed again.

    Those that ended processes have left for the same path are removed first.

    Raises:
        OSError: if it cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    target = path.resolve()
    remove_leftovers(target)
    temporary = _part(target)
    temporary.mkdir()
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_all_leftovers(folder: Path) -> None:
    """Remove what ended processes of this machine have left in a folder, for any file of it."""
    with suppress(OSError):
        for path in sorted(folder.iterdir()):
            match = _PART.fullmatch(path.name) or _OLDER_PART.fullmatch(path.name)
            if match is None or path.suffix == ".old":  # the only copy of what it replaces
                continue
            here = match.groupdict().get("host", _host()) == _host()
            if here and not _owns(int(match["pid"]), path):
                _remove(path)


def remove_leftovers(target: Path) -> None:
    """Remove neighbours of the file or folder that ended processes of this machine have left."""
    for leftover, _, pid in _neighbours(target):
        if leftover.name.endswith(".part") and not _owns(pid, leftover):
            _remove(leftover)


def _restore(target: Path) -> None:
    """Restore the old folder if a process was killed between the two renames that replace it."""
    if target.exists():
        return
    for leftover, _, pid in _neighbours(target):
        if leftover.name.endswith(".old") and not _owns(pid, leftover):
            with suppress(OSError):
                leftover.rename(target)


def _neighbours(target: Path) -> Iterator[tuple[Path, str, int]]:
    """Yield this machine's hidden neighbours of a path, with their processes."""
    with suppress(OSError):
        for path in sorted(target.parent.iterdir()):
            match = _PART.fullmatch(path.name)
            if match and match["name"] == target.name and match["host"] == _host():
                yield path, match["host"], int(match["pid"])


def _part(target: Path, ending: str = "part") -> Path:
    return target.with_name(f".{target.name}.{_host()}-{os.getpid()}.{ending}")


def _host() -> str:
    return re.sub(r"[^\w]", "_", socket.gethostname()) or "host"


def _owns(pid: int, path: Path) -> bool:
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


def _check_filled(temporary: Path, filled: os.stat_result) -> None:
    """Refuse a folder that was moved or removed while it was filled, and made again in part."""
    with suppress(FileNotFoundError):
        if os.path.samestat(temporary.stat(), filled):
            return
    reason = "its folder was moved or removed while it was written; rerun"
    raise FileNotFoundError(errno.ENOENT, reason, str(temporary))


def _exchange(new: Path, target: Path) -> None:
    """Replace the target by the new folder; the old one is ``new`` afterwards, or removed."""
    if not target.exists():
        new.rename(target)
        return
    if _is_shared(target, new):
        _move_files(new, target)
        return
    _carry_over(target, new)
    if not _exchanged(new, target):
        old = _part(target, "old")
        target.rename(old)
        new.rename(target)
        shutil.rmtree(old, ignore_errors=True)


def _is_shared(old: Path, new: Path) -> bool:
    """Return whether the old folder is in use, or has entries that the new one lacks."""
    names = {path.name for path in new.iterdir()}
    others = (path.name not in names for path in old.iterdir())
    return Path.cwd().is_relative_to(old) or any(others)


def _move_files(new: Path, target: Path) -> None:
    for path in sorted(new.rglob("*")):
        destination = target / path.relative_to(new)
        if path.is_dir():
            destination.mkdir(parents=True, exist_ok=True)
        else:
            path.replace(destination)


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange two paths in one system call; return whether the system supports it."""
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        return False
    sides = (os.fsencode(one), os.fsencode(other))
    done = libc.renameat2(_AT_FDCWD, sides[0], _AT_FDCWD, sides[1], _RENAME_EXCHANGE)
    return int(done) == 0


def _carry_over(old: Path, new: Path) -> None:
    """Link the files of the old folder that the new one lacks, or copy them if that fails."""
    for path in sorted(old.rglob("*")):
        destination = new / path.relative_to(old)
        if destination.exists() or destination.is_symlink() or _PART.fullmatch(path.name):
            continue
        if path.is_dir() and not path.is_symlink():
            destination.mkdir(parents=True)
            continue
        destination.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, destination, follow_symlinks=False)
        except OSError:
            shutil.copy2(path, destination, follow_symlinks=False)


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
