"""Files and folders that change by one rename: a reader sees the old or the new, whole.

What is written goes to a hidden neighbour first, ``.NAME.HOST-PID.part``, which takes the place of
the old when it is complete. A failure or a kill leaves the old as it was. The neighbours of
processes that are gone are removed by the next writer of the same name; those of living processes,
and of other machines on a shared file system, are left alone.
"""

import ctypes
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
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
"""Arguments of Linux's ``renameat2``."""


def write_text(path: Path, parts: Iterable[str]) -> None:
    """Write the parts to the file at once or not at all; line ends are as in the parts.

    A path that is not an ordinary file (a pipe, ``/dev/stdout``) is written to directly.

    Raises:
        OSError: naming the file, if it cannot be written.
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


def write_bytes(path: Path, content: bytes) -> None:
    """Write the file at once or not at all.

    Raises:
        OSError: naming the file, if it cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path to write a file to; it takes the place of ``path`` if all goes well.

    Raises:
        OSError: naming the file, if it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    target = path.resolve()
    remove_leftovers(target)
    temporary = _part(target)
    try:
        yield temporary
        _synchronize(temporary)
        temporary.replace(target)
    except OSError as error:
        # Writing says what is wrong, but not where; its message names the file then.
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder to fill; it takes the place of ``path`` if all goes well.

    Files in subfolders that the new folder lacks are carried over. A folder with anything else of
    others in it, or that someone is in, is not replaced: there each file changes by one rename.

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
        yield temporary
        _exchange(temporary, target)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_leftovers(target: Path) -> None:
    """Remove what processes of this machine that are gone left next to the file or folder."""
    for leftover, _, pid in _neighbours(target):
        if leftover.name.endswith(".part") and not _lives(pid):
            _remove(leftover)


def _restore(target: Path) -> None:
    """Put back the old folder, if a kill came between the two renames that replace it."""
    if target.exists():
        return
    for leftover, _, pid in _neighbours(target):
        if leftover.name.endswith(".old") and not _lives(pid):
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


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


def _exchange(new: Path, target: Path) -> None:
    """Put the new folder in the target's place; the old one is ``new`` afterwards, or gone."""
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
    """Return whether the old folder holds more than a new one replaces, or someone is in it."""
    names = {path.name for path in new.iterdir()}
    others = (path.name not in names for path in old.iterdir())
    return Path.cwd().is_relative_to(old) or any(others)


def _move_files(new: Path, target: Path) -> None:
    for path in sorted(new.rglob("*")):
        there = target / path.relative_to(new)
        if path.is_dir():
            there.mkdir(parents=True, exist_ok=True)
        else:
            path.replace(there)


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange two paths by one system call; return whether the system could."""
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        return False
    sides = (os.fsencode(one), os.fsencode(other))
    done = libc.renameat2(_AT_FDCWD, sides[0], _AT_FDCWD, sides[1], _RENAME_EXCHANGE)
    return int(done) == 0


def _carry_over(old: Path, new: Path) -> None:
    """Link, or else copy, the files of the old folder that the new one lacks."""
    for path in sorted(old.rglob("*")):
        there = new / path.relative_to(old)
        if there.exists() or there.is_symlink() or _PART.fullmatch(path.name):
            continue
        if path.is_dir() and not path.is_symlink():
            there.mkdir(parents=True)
            continue
        there.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, there, follow_symlinks=False)
        except OSError:
            shutil.copy2(path, there, follow_symlinks=False)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _synchronize(path: Path) -> None:
    """Have the disk hold the content before its name says so."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
