"""Lock files between processes, which say so if a file system has no locks.

Some network file systems, and some mounts of containers, refuse ``flock``. Without locks two
processes could write the same run, so the lock is refused with the folder and another choice.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from errno import ENOLCK, ENOSYS, ENOTSUP, EOPNOTSUPP
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from benchmark.errors import SettingError

_WITHOUT_LOCKS = {ENOLCK, ENOSYS, ENOTSUP, EOPNOTSUPP}


class LockHeldError(Exception):
    """Another process holds the lock."""


class NoLocksError(SettingError):
    """The file system of a folder has no locks."""


@contextmanager
def locked(path: Path, purpose: str, remedy: str, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock file in an existing folder.

    Args:
        path: the lock file, which is made if it does not exist.
        purpose: what the lock keeps other processes from, for the error.
        remedy: how to choose another folder, for the error.
        wait: whether to wait for a process that holds it.

    Raises:
        LockHeldError: without ``wait``, if another process holds it.
        NoLocksError: if the file system has no locks.
        OSError: if the file cannot be made.
    """
    lock = _file_lock(path, seconds=-1 if wait else 0)
    try:
        lock.acquire()
    except Timeout as error:
        raise LockHeldError(str(path)) from error
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:
            raise
        raise NoLocksError(
            f"{path.parent}: this file system has no locks ({error.strerror}), which keep other "
            f"processes from {purpose}; {remedy}"
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def locked_if_possible(path: Path, *, seconds: float = -1) -> Iterator[None]:
    """Hold a lock file; hold nothing if that is impossible.

    So it is in a folder that cannot be written to, on a file system without locks, and if another
    process holds the lock for too long.

    Args:
        path: the lock file, which is made if it does not exist.
        seconds: how long to wait for a process that holds it; a negative number means for ever.
    """
    lock = _file_lock(path, seconds)
    with ExitStack() as stack:
        with suppress(OSError):  # Timeout is one
            lock.acquire()
            stack.callback(lock.release)
        yield


def _file_lock(path: Path, seconds: float) -> BaseFileLock:
    # A soft lock, the alternative, stays behind after a kill and would block the next start.
    return FileLock(path, timeout=seconds, is_singleton=False, fallback_to_soft=False)
