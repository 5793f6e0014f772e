"""Replace folders atomically: a reader sees either the old or the new one, complete.

A new folder is filled next to the old one and exchanged with it by one rename. A folder that holds
entries of others stays: then each of the new entries is exchanged, the one that refers to the
others last.
"""

import ctypes
import errno
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from benchmark.errors import DataError
from benchmark.writing import (
    ensure_folder,
    is_unfinished,
    neighbours,
    owns,
    remove_leftovers,
    resolved,
    unfinished_name,
)

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
"""Arguments of Linux's ``renameat2``."""


@contextmanager
def replacing_folder(path: Path, *, last: str = "") -> Iterator[Path]:
    """Yield a new folder to fill; it replaces ``path`` if no error is raised.

    Files in subfolders that the new folder lacks are kept. A folder that has other entries, or that
    is a mount or the working directory, is not replaced. Instead each entry of the new folder
    replaces the old one by a rename, in the order of their names; if one fails, the others are put
    back.

    Args:
        path: the folder.
        last: the entry that is replaced last, because it refers to the others.

    Raises:
        DataError: if ``path`` is a file, or an entry is a file in place of a folder or the reverse.
        OSError: naming the folder, if it cannot be written.
    """
    ensure_folder(path.parent)
    target = resolved(path)
    if target.exists() and not target.is_dir():
        raise DataError(f"{path}: a file; name a folder")
    place = _place(target)
    _restore(target)
    remove_leftovers(place)
    temporary = unfinished_name(place)
    try:
        temporary.mkdir()
        filled = temporary.stat()
        yield temporary
        _check_filled(temporary, filled)
        _exchange(temporary, target, last)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _place(target: Path) -> Path:
    """Return the path whose hidden neighbour is filled.

    Folders are renamed within a file system only: the new one is made in a folder that is a mount.
    """
    inside = os.path.ismount(target) or (target.is_dir() and not os.access(target.parent, os.W_OK))
    return target / target.name if inside else target


def _restore(target: Path) -> None:
    """Restore what was there if a process was killed between the two renames that replace it."""
    if target.exists():
        return
    for leftover, pid in neighbours(target):
        if leftover.name.endswith(".old") and not owns(pid, leftover):
            with suppress(OSError):
                leftover.rename(target)


def _check_filled(temporary: Path, filled: os.stat_result) -> None:
    """Refuse a folder that was moved or removed while it was filled, and made again in part."""
    with suppress(FileNotFoundError):
        if os.path.samestat(temporary.stat(), filled):
            return
    reason = "its folder was moved or removed while it was written; rerun"
    raise FileNotFoundError(errno.ENOENT, reason, str(temporary))


def _exchange(new: Path, target: Path, last: str) -> None:
    """Replace the target, or its entries, by the new ones; the old ones are in ``new`` then."""
    if target.exists() and (new.parent == target or _is_shared(target, new)):
        pairs = [*_pairs(new, target, last)]
    else:
        pairs = [(new, target)]
    for one, other in pairs:
        _check_kinds(one, other)
    for one, other in pairs:
        if other.is_dir():
            _carry_over(other, one)
    _swap_all(pairs)


def _is_shared(old: Path, new: Path) -> bool:
    """Return whether the old folder is in use, or has entries that the new one lacks."""
    names = {path.name for path in new.iterdir()}
    others = (path.name not in names for path in old.iterdir())
    return _is_in_use(old) or any(others)


def _is_in_use(folder: Path) -> bool:
    return Path.cwd().is_relative_to(folder)


def _pairs(new: Path, target: Path, last: str) -> Iterator[tuple[Path, Path]]:
    """Yield the entries of the new folder and what they replace, in order."""
    for path in sorted(new.iterdir(), key=lambda path: (path.name == last, path.name)):
        other = resolved(target / path.name)
        _restore(other)
        remove_leftovers(other)
        if path.is_dir() and other.is_dir() and _is_in_use(other):
            yield from _pairs(path, other, last)
        else:
            yield path, other


def _check_kinds(new: Path, old: Path) -> None:
    """Refuse to replace a file by a folder or the reverse: it is of others.

    Raises:
        DataError: naming it.
    """
    if old.exists() and old.is_dir() != new.is_dir():
        kinds = ("a folder", "a file") if old.is_dir() else ("a file", "a folder")
        raise DataError(f"{old}: {kinds[0]} where {kinds[1]} is written; name another folder")
    if new.is_dir() and old.is_dir():
        for path in new.iterdir():
            _check_kinds(path, old / path.name)


def _swap_all(pairs: list[tuple[Path, Path]]) -> None:
    """Swap the pairs in order; if one fails, swap those before it back."""
    done = list[tuple[Path, Path]]()
    try:
        for pair in pairs:
            _swap(*pair)
            done.append(pair)
    except BaseException:
        for pair in reversed(done):
            with suppress(OSError):
                _swap(*pair)
        raise


def _swap(one: Path, other: Path) -> None:
    """Exchange two paths, of which one may not exist."""
    if not other.exists():
        one.rename(other)
    elif not one.exists():
        other.rename(one)
    elif not _exchanged(one, other):
        (_exchange_folders if other.is_dir() else _exchange_files)(one, other)


def _exchange_folders(one: Path, other: Path) -> None:
    """Exchange two folders by three renames; after an error both are as before."""
    old = unfinished_name(other, "old")
    with ExitStack() as undo:
        other.rename(old)
        undo.callback(old.rename, other)
        one.rename(other)
        undo.callback(other.rename, one)
        old.rename(one)
        undo.pop_all()


def _exchange_files(one: Path, other: Path) -> None:
    """Exchange two files, of which the second is never missing; after an error both are as before.

    It is copied first.
    """
    old = unfinished_name(other)
    with ExitStack() as undo:
        undo.callback(old.unlink, missing_ok=True)
        shutil.copy2(other, old)
        one.replace(other)
        undo.callback(old.replace, other)
        undo.callback(shutil.copy2, other, one)
        old.rename(one)
        undo.pop_all()


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange two paths in one system call; return whether the system supports it."""
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        return False
    sys.audit("os.rename", str(one), str(other), -1, -1)  # as Python's own calls
    sides = (os.fsencode(one), os.fsencode(other))
    done = libc.renameat2(_AT_FDCWD, sides[0], _AT_FDCWD, sides[1], _RENAME_EXCHANGE)
    return int(done) == 0


def _carry_over(old: Path, new: Path) -> None:
    """Link the files of the old folder that the new one lacks, or copy them if that fails."""
    for path in sorted(old.rglob("*")):
        destination = new / path.relative_to(old)
        if destination.exists() or destination.is_symlink() or is_unfinished(path):
            continue
        if path.is_dir() and not path.is_symlink():
            destination.mkdir(parents=True)
            continue
        ensure_folder(destination.parent)
        try:
            os.link(path, destination, follow_symlinks=False)
        except OSError:
            shutil.copy2(path, destination, follow_symlinks=False)
