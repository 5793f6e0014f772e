"""Forked processes, which have the libraries of the test process already imported.

Importing torch and transformers takes 5 s per process. A forked process has its own files, limits,
signals and locks, like any other process. One test of each kind still starts a new process, as a
user's command does.
"""

import os
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmark.cli.app import main


def command(*arguments: str) -> Callable[[], None]:
    """Return a function that runs the command line with these arguments in a forked process."""

    def run() -> None:
        sys.argv = ["benchmark", *arguments]
        main()

    return run


class Process:
    """A running process with ``poll``, ``kill`` and ``wait`` as in ``Popen``; output in files."""

    def __init__(self, work: Callable[[], None], folder: Path) -> None:
        """Start the process; its output is written to ``out`` and ``err`` in the new folder."""
        folder.mkdir()
        self._folder = folder
        self.returncode: int | None = None
        with warnings.catch_warnings():
            # xdist's thread in the parent holds no lock that the child uses.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if self.pid == 0:
            os._exit(_code(work, folder))

    def __enter__(self) -> Self:
        """Return the process, which is killed at the end of the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Kill the process if it still runs."""
        if self.poll() is None:
            self.kill()

    @property
    def out(self) -> str:
        """The standard output so far."""
        return (self._folder / "out").read_text()

    @property
    def err(self) -> str:
        """The standard error so far."""
        return (self._folder / "err").read_text()

    def poll(self) -> int | None:
        """Return the exit code if the process has ended, negative for a signal."""
        return self._reap(os.WNOHANG)

    def wait(self) -> int:
        """Wait for the end of the process and return its exit code."""
        code = self._reap(0)
        assert code is not None
        return code

    def kill(self) -> None:
        """Send SIGKILL and wait."""
        os.kill(self.pid, signal.SIGKILL)
        self.wait()

    def _reap(self, flags: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, flags)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


def _code(work: Callable[[], None], folder: Path) -> int:
    """Run the function with redirected output and return the exit code that Python would."""
    try:
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(folder / name, os.O_CREAT | os.O_WRONLY), number)
        sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
        work()
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(bool(error.code))
    except BaseException:  # noqa: BLE001
        sys.excepthook(*sys.exc_info())
        return 1
    else:
        return 0
