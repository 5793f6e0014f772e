"""Faults of storage in a forked process: a kill or an error at the n-th change of a file.

Python calls its audit hooks before a file is opened for writing, renamed, removed or created. In a
child process such a hook counts the changes below a folder; at the n-th it ends the process as
SIGKILL does, or makes the call fail. ``os.fsync``, which has no hook, is replaced. Between two such
changes, content is written: a limit on the size of files ends the process within a write, at any
byte, or makes the write fail.
"""

import errno
import os
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_RENAMES = {"os.rename", "os.link", "os.symlink"}
_CHANGES = {"os.fsync", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", *_RENAMES}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


@dataclass(frozen=True)
class Fault:
    """What happens at which change: ``error`` is an errno, None for a kill.

    With ``size`` the process is killed when a file grows beyond that number of bytes; if ``error``
    is set too, that write fails with EFBIG, as on a full disk.
    """

    at: int | None = None
    error: int | None = None
    size: int | None = None

    def __str__(self) -> str:
        """Return the fault in words, for the name of a test."""
        if self.size is not None:
            return f"{'killed' if self.error is None else 'full'} at byte {self.size}"
        kind = "killed" if self.error is None else errno.errorcode[self.error]
        return f"{kind} at change {self.at}"


def faulty(work: Callable[[], object], root: Path, fault: Fault, log: Path) -> Callable[[], None]:
    """Return the work with the fault in it, to be done in a forked process.

    ``log`` gets a line for each change of a file below ``root`` before the fault.
    """

    def run() -> None:
        if fault.size is not None:
            # Python ignores the signal: the write fails.
            if fault.error is None:
                signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_FSIZE, (fault.size, fault.size))
        _install(root, log, fault)
        work()

    return run


def _install(root: Path, log: Path, fault: Fault) -> None:
    count = 0
    real = str(root.resolve())
    log_file = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal count
        path = _changed(event, arguments)
        if path is None or not _absolute(path).startswith(real):
            return
        if count == fault.at:
            if fault.error is None:
                os.kill(os.getpid(), signal.SIGKILL)
            count += 1
            raise OSError(fault.error, os.strerror(fault.error or 0), path)
        os.write(log_file, f"{event} {os.path.relpath(path, real)}\n".encode())
        count += 1

    sys.addaudithook(hook)
    synchronize = os.fsync

    def fsync(descriptor: int) -> None:
        """Count as a change of the file."""
        hook("os.fsync", (os.readlink(f"/proc/self/fd/{descriptor}"),))  # noqa: PTH115
        synchronize(descriptor)

    setattr(os, "fsync", fsync)  # noqa: B010  # its stub also takes objects


def _absolute(path: str) -> str:
    """Return an absolute path, as a string: ``Path.resolve`` would follow links."""
    return os.path.abspath(path)  # noqa: PTH100


def _changed(event: str, arguments: tuple[object, ...]) -> str | None:
    """Return the path that an event changes."""
    if event in _CHANGES:
        # For a rename, the new path.
        path = arguments[1] if event in _RENAMES else arguments[0]
    elif event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING:
        path = arguments[0]
    else:
        return None
    return os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else None
