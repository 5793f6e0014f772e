"""End a process when the process that started it ends, however that ends: SIGKILL included.

On Linux the kernel does this, also for a process that computes. Elsewhere a small process, or a
thread, looks every fifth of a second whether the parent is still there.

Only the standard library is used: this file is also run as a script, in any environment.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

_PR_SET_PDEATHSIG = 1
"""The argument of Linux's ``prctl`` for the signal at the end of the parent."""
_SECONDS_BETWEEN_LOOKS = 0.2
_NOT_STARTED = 127
"""The exit status of a command that could not be started, as a shell's."""


def tied(command: Sequence[str]) -> list[str]:
    """Return a command that runs ``command`` and ends with this process.

    On Linux the thread that starts it has to last as long as it does.
    """
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


_STANDARD_ERROR = 2


def run_tied(
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    timeout: float | None = None,
    capture: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; it and what it starts end with this process, and on Ctrl-C.

    Args:
        command: a command whose words were checked.
        environment: its variables; by default those of this process.
        timeout: the longest time in seconds.
        capture: whether to return its output, instead of showing it on standard error.

    Raises:
        TimeoutExpired: if it takes longer; it is killed.
    """
    pipe = subprocess.PIPE if capture else _STANDARD_ERROR
    process = subprocess.Popen(  # noqa: S603
        tied(command), stdout=pipe, stderr=pipe, text=True, env=environment, start_new_session=True
    )
    try:
        out, err = process.communicate(timeout=timeout)
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return subprocess.CompletedProcess([*command], process.returncode, out, err)


def end_with_parent() -> None:
    """End this process, killed, when its parent ends."""
    parent = os.getppid()
    if not _ask_kernel():
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def keep_child_statuses() -> None:
    """Have the system keep the exit status of child processes until this one has read it.

    A shell's ``trap '' CHLD`` is inherited: then the status is lost, ``os.waitpid`` fails, and
    ``subprocess`` takes every command for a success.
    """
    number = getattr(signal, "SIGCHLD", None)  # Windows has none
    is_main = threading.current_thread() is threading.main_thread()
    if number is not None and is_main and signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)


def _ask_kernel() -> bool:
    """Ask for SIGKILL at the end of the parent; return whether the system supports it."""
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None)
    return bool(hasattr(libc, "prctl") and libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) == 0)


def _end_after(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    os.kill(os.getpid(), signal.SIGKILL)


def _become(command: Sequence[str], parent: int) -> None:
    """Run the command in place of this process, which keeps its number and its files."""
    if os.getppid() == parent:  # it may have ended before the kernel was asked
        os.execvp(command[0], [*command])  # noqa: S606


def _watch(command: Sequence[str], parent: int) -> int:
    """Run the command in a child, which is killed when the parent ends; return its status."""
    with subprocess.Popen(command) as child:  # noqa: S603
        while os.getppid() == parent:
            with suppress(subprocess.TimeoutExpired):
                return child.wait(_SECONDS_BETWEEN_LOOKS)
        child.kill()
        return child.wait()


def _main(parent: int, command: Sequence[str]) -> int:
    try:
        if _ask_kernel():
            _become(command, parent)
            return _NOT_STARTED
        return _watch(command, parent)
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        return _NOT_STARTED


if __name__ == "__main__":
    sys.exit(_main(int(sys.argv[1]), sys.argv[2:]))
