"""Render chat templates in a child process with limits.

A template comes from a model's repository. One expression of it, such as ``'x' * 10 ** 10``, can
take all memory or hours within a single operation in C, which no other thread can interrupt, and
it may do so for one text only. So no template is rendered in this process. The child is a fork with
limits of the operating system on its time and memory. It renders one chat after another, and ends
when it has nothing to do: a fork holds memory that its parent releases.
"""

import gc
import json
import os
import select
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import NoReturn, cast

from benchmark.models.time_limit import TimeLimitError, time_limit

LONGEST = 2**20
"""The bytes of UTF-8 that a rendered chat may have."""

MEMORY = 2**30
"""The memory that renderings may take, in bytes, in addition to that of the process."""

_PATIENCE = 20
"""The time by the clock that a rendering may take, as a multiple of its processor time."""

_IDLE = 1.0
"""The seconds without a chat after which the child ends."""

_STARTS = 3
"""How often a child is started for a chat, if the one before has just ended, being idle."""

_MEMORY, _LONG = "takes more than 1 GiB of memory", "writes more than 1 MiB"

Turns = Sequence[Mapping[str, object]]
Render = Callable[[Turns, bool], str]
"""Renders a chat with a template; the second argument asks for the start of an answer."""


class RenderingLimitError(Exception):
    """A rendering took more than a limit; the message says which, as a predicate."""


class RenderingError(Exception):
    """The template raised an error, which the message has."""


class ChatRenderer:
    """Renders the chats of one template within limits.

    Only Linux has all limits. On other systems a rendering is bounded in its time and length, in
    this process, and an operation in C is not interrupted.
    """

    def __init__(self, render: Render, seconds: float) -> None:
        """Take the function that renders, and the processor time that a chat may take."""
        self._render, self._seconds = render, seconds
        self._child: _Child | None = None
        self._lock = Lock()

    def render(self, turns: Turns, *, generation: bool) -> str:
        """Return the rendered chat.

        Raises:
            RenderingLimitError: if it takes too much time or memory, or is too long.
            RenderingError: if the template raises an error.
        """
        with self._lock:
            kind, text = self._reply(turns, generation=generation)
        if kind == "limit":
            raise RenderingLimitError(text)
        if kind == "error":
            raise RenderingError(text)
        return text

    def _reply(self, turns: Turns, *, generation: bool) -> tuple[str, str]:
        if sys.platform != "linux":
            return self._reply_here(turns, generation=generation)
        request = json.dumps([list(turns), generation]).encode() + b"\n"
        for _ in range(_STARTS):
            child = self._running()
            if reply := child.ask(request, self._seconds * _PATIENCE):
                kind, text = cast("tuple[str, str]", tuple(json.loads(reply)))
                return kind, text
            self._child = None
            if status := child.status():
                return "limit", self._ending(status)
        return "limit", "does not end"

    def _reply_here(self, turns: Turns, *, generation: bool) -> tuple[str, str]:
        try:
            with time_limit(self._seconds):
                return _rendered(self._render, turns, generation)
        except TimeLimitError:
            return "limit", self._too_slow()

    def _running(self) -> "_Child":
        """Return the child of this process, which may itself be a fork of the one that had one."""
        if self._child is None or self._child.parent != os.getpid():
            self._child = _Child(self._render, self._seconds)
        return self._child

    def _ending(self, status: int) -> str:
        signal_number = -status
        if signal_number in {signal.SIGPROF, signal.SIGKILL}:
            return self._too_slow()
        return f"ends its process with {'signal' if status < 0 else 'code'} {abs(status)}"

    def _too_slow(self) -> str:
        return f"takes more than {self._seconds} s to render"


def _rendered(render: Render, turns: Turns, generation: bool) -> tuple[str, str]:  # noqa: FBT001
    """Return the chat, or how its rendering failed."""
    from jinja2 import TemplateError

    try:
        kind, text = "text", render(turns, generation)
    except MemoryError:
        return "limit", _MEMORY
    except TemplateError as error:
        kind, text = "error", str(error)
    except TimeLimitError:
        raise
    except Exception as error:  # noqa: BLE001  # a template can raise any exception
        kind, text = "error", f"{error!r:.200}"
    return ("limit", _LONG) if _is_too_long(text) else (kind, text)


def _is_too_long(text: str) -> bool:
    return len(text) > LONGEST or len(text.encode(errors="surrogatepass")) > LONGEST


class _Child:
    """A forked process that renders chats until it is idle: a request and a reply per line."""

    def __init__(self, render: Render, seconds: float) -> None:
        self.parent = os.getpid()
        (requests, self._requests), (self._replies, replies) = os.pipe(), os.pipe()
        with _quiet_fork():
            self._pid = os.fork()
        if self._pid == 0:
            os.close(self._requests)
            os.close(self._replies)
            _serve(render, seconds, requests, replies)
        os.close(requests)
        os.close(replies)

    def __del__(self) -> None:
        """Close the pipes, at which the child ends."""
        for descriptor in (self._requests, self._replies):
            with suppress(OSError):
                os.close(descriptor)

    def ask(self, request: bytes, seconds: float) -> bytes:
        """Return the reply; empty if the child has ended, or is killed after this time."""
        reply = bytearray()
        try:
            with suppress(BrokenPipeError):
                _write(self._requests, request)
            while not reply.endswith(b"\n") and select.select([self._replies], [], [], seconds)[0]:
                block = os.read(self._replies, 2**16)
                if not block:
                    return b""
                reply += block
        except BaseException:  # of Ctrl-C: the reply would be taken for that of the next request
            os.kill(self._pid, signal.SIGKILL)
            raise
        if not reply.endswith(b"\n"):
            os.kill(self._pid, signal.SIGKILL)
            return b""
        return bytes(reply)

    def status(self) -> int:
        """Return the exit code of the child, which has ended: 0 if it was idle."""
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])


def _serve(render: Render, seconds: float, requests: int, replies: int) -> NoReturn:
    """Render chats in the child, and end it when there are no more."""
    code = 1
    try:
        gc.freeze()  # the collector leaves objects of the parent alone
        _limit_memory()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        out_of_memory = _watch_constants()
        with os.fdopen(requests, "rb") as lines:
            while select.select([lines], [], [], _IDLE)[0] and (line := lines.readline()):
                turns, generation = json.loads(line)
                signal.setitimer(signal.ITIMER_PROF, seconds)
                reply = _rendered(render, turns, generation)
                signal.setitimer(signal.ITIMER_PROF, 0)
                reply = ("limit", _MEMORY) if out_of_memory else reply
                out_of_memory.clear()
                _write(replies, json.dumps(reply).encode() + b"\n")
        code = 0
    finally:
        os._exit(code)


def _write(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]


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


def _watch_constants() -> list[MemoryError]:
    """Return a list that gets the errors of constant expressions when jinja2 compiles a template.

    jinja2 drops them, and computes the expression when the template is rendered.
    """
    from jinja2 import nodes

    errors = list[MemoryError]()

    def note(_: nodes.Impossible) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, MemoryError):
            errors.append(error)

    setattr(nodes.Impossible, "__init__", note)  # noqa: B010  # mypy refuses a plain assignment
    return errors


def _limit_memory() -> None:
    """Limit the memory of this process, and have it leave no core file."""
    import resource

    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    for kind, value in (
        (resource.RLIMIT_AS, pages * resource.getpagesize() + MEMORY),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        soft = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (soft, hard))
