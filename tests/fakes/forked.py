"""A process of its own that has the test's libraries already: forked, not started anew.

Importing torch and transformers takes 5 s a process. What is killed or filled up here is as much a
process as any other: its own files, limits, signals and locks. Of what starts from nothing, as a
user's command does, each kind has one test that still does.
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
    """The command line with these arguments, to be run in a forked process."""

    def run() -> None:
        sys.argv = ["benchmark", *arguments]
        main()

    return run


class Forked:
    """The running process: ``poll``, ``kill`` and ``wait`` as of ``Popen``; output in files."""

    def __init__(self, work: Callable[[], None], folder: Path) -> None:
        """Start it; what it writes goes to ``out`` and ``err`` in the new folder."""
        folder.mkdir()
        self._folder = folder
        self.returncode: int | None = None
        with warnings.catch_warnings():
            # xdist's own thread is in the parent, and holds nothing that the child uses.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if self.pid == 0:
            os._exit(_code(work, folder))

    def __enter__(self) -> Self:
        """Nothing is left running after the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Kill it if it still runs."""
        if self.poll() is None:
            self.kill()

    @property
    def out(self) -> str:
        """What it has written to its standard output."""
        return (self._folder / "out").read_text()

    @property
    def err(self) -> str:
        """What it has written to its standard error."""
        return (self._folder / "err").read_text()

    def poll(self) -> int | None:
        """The return code when it has ended, negative for a signal."""
        return self._reap(os.WNOHANG)

    def wait(self) -> int:
        """The return code, once it has ended."""
        code = self._reap(0)
        assert code is not None
        return code

    def kill(self) -> None:
        """SIGKILL, and wait."""
        os.kill(self.pid, signal.SIGKILL)
        self.wait()

    def _reap(self, flags: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, flags)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


def _code(work: Callable[[], None], folder: Path) -> int:
    """Do it with the child's own output, and give the exit code that Python would."""
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
