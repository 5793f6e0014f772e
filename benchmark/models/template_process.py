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
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from threading import Lock, current_thread
from typing import ClassVar, NoReturn, cast

from benchmark.lifetime import end_with_parent
from benchmark.models.forked_process import close_others, limit_memory, quiet_fork
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
            status = child.status()
            # The system ends a child with the thread that started it, too.
            if status and child.thread.is_alive():
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

    _ended: ClassVar[set[int]] = set()
    """Children that were dropped, and whose end is not yet read from the system."""

    def __init__(self, render: Render, seconds: float) -> None:
        self.parent = os.getpid()
        self.thread = current_thread()
        self._is_killed = self._is_over = False
        self._reap()
        (requests, self._requests), (self._replies, replies) = os.pipe(), os.pipe()
        with quiet_fork():
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
        if self.parent == os.getpid() and not self._is_over:
            self._ended.add(self._pid)
            self._reap()

    @classmethod
    def _reap(cls) -> None:
        """Read the status of dropped children that have ended: they are zombies until then."""
        for pid in tuple(cls._ended):
            try:
                is_over = os.waitpid(pid, os.WNOHANG)[0] == pid
            except ChildProcessError:  # read before, or a child of the process that forked this one
                is_over = True
            if is_over:
                cls._ended.discard(pid)

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
            self._kill()
            raise
        if not reply.endswith(b"\n"):
            self._kill()
            return b""
        return bytes(reply)

    def _kill(self) -> None:
        self._is_killed = True
        os.kill(self._pid, signal.SIGKILL)

    def status(self) -> int:
        """Return the exit code of the child, which has ended: 0 if it was idle, or is unknown."""
        self._is_over = True
        try:
            return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        except ChildProcessError:  # SIGCHLD is ignored: the system keeps no status
            return -signal.SIGKILL if self._is_killed else 0


def _serve(render: Render, seconds: float, requests: int, replies: int) -> NoReturn:
    """Render chats in the child, and end it when there are no more."""
    code = 1
    try:
        end_with_parent()
        close_others(requests, replies)
        gc.freeze()  # the collector leaves objects of the parent alone
        limit_memory(MEMORY)
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
