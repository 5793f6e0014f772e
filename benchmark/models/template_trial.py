"""Try a chat template in a child process, before it is rendered in this one.

A template comes from a model's repository. One expression of it, such as ``'x' * 10 ** 10``, can
take all memory or hours within a single operation in C, which no other thread can interrupt. The
child is a fork with limits of the operating system on its time and memory.
"""

import gc
import os
import select
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path

LONGEST = 2**20
"""The bytes of UTF-8 that a rendered chat may have."""

MEMORY = 2**30
"""The memory that a rendering may take, in bytes, in addition to that of the process."""

_PATIENCE = 20
"""The time by the clock that a trial may take, as a multiple of its limit of processor time."""

_DONE, _MEMORY, _LONG = b"done", b"takes more than 1 GiB of memory", b"writes more than 1 MiB"


def fault_of(render: Callable[[], str], seconds: float) -> str:
    """Return what is wrong with a rendering, "" if it keeps its limits.

    Other errors of the template are left to the rendering in this process. Only Linux has all
    limits: on other systems nothing is tried.

    Args:
        render: renders the template.
        seconds: the processor time that it may take.
    """
    if sys.platform != "linux":
        return ""
    reader, writer = os.pipe()
    with _quiet_fork():
        child = os.fork()
        if child == 0:
            _try(render, seconds, writer)
    os.close(writer)
    try:
        report, status = _wait(child, reader, seconds * _PATIENCE)
    finally:
        os.close(reader)
    if os.WIFEXITED(status) and report:
        return "" if report == _DONE else report.decode()
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) not in {signal.SIGXCPU, signal.SIGKILL}:
        return f"ends its process with signal {os.WTERMSIG(status)}"
    return f"takes more than {seconds} s to render"


def too_long(text: str) -> bool:
    """Return whether a rendered chat is longer than the bound."""
    return len(text) > LONGEST or len(text.encode(errors="surrogatepass")) > LONGEST


@contextmanager
def _quiet_fork() -> Iterator[None]:
    """Keep Python and the library tokenizers from warning that a process with threads forks."""
    name = "TOKENIZERS_PARALLELISM"
    unset = name not in os.environ
    if unset:
        os.environ[name] = "true"  # its default
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        if unset:
            del os.environ[name]


def _try(render: Callable[[], str], seconds: float, writer: int) -> None:
    """Render in the child, write to the pipe how it ended, and end the process."""
    report = _DONE
    try:
        gc.disable()  # it might finalize objects that belong to the parent
        _limit(seconds)
        out_of_memory = _watch_constants()
        report = _LONG if too_long(render()) else _DONE
        report = _MEMORY if out_of_memory else report
    except MemoryError:
        report = _MEMORY
    except Exception as error:  # noqa: BLE001  # the parent raises it again
        report = _LONG if too_long(str(error)) else _DONE
    finally:
        os.write(writer, report)
        os._exit(0)


def _watch_constants() -> list[MemoryError]:
    """Return a list that gets the errors of constant expressions when jinja2 compiles a template.

    jinja2 drops them, and would compute the expression again in the parent, which has no limits.
    """
    from jinja2 import nodes

    errors = list[MemoryError]()

    def note(_: nodes.Impossible) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, MemoryError):
            errors.append(error)

    setattr(nodes.Impossible, "__init__", note)  # noqa: B010  # mypy refuses a plain assignment
    return errors


def _limit(seconds: float) -> None:
    """Limit the time and memory of this process."""
    import resource

    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    for kind, value in (
        (resource.RLIMIT_AS, pages * resource.getpagesize() + MEMORY),
        (resource.RLIMIT_CPU, max(ceil(seconds), 1)),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        soft = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (soft, hard))
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)


def _wait(child: int, reader: int, seconds: float) -> tuple[bytes, int]:
    """Return what the child wrote and its status; it is killed after this time by the clock."""
    report, status = b"", None
    try:
        if select.select([reader], [], [], seconds)[0]:
            report = os.read(reader, 100)
            status = os.waitpid(child, 0)[1]
    finally:
        if status is None:
            os.kill(child, signal.SIGKILL)
            status = os.waitpid(child, 0)[1]
    return report, status
