"""Standard output and standard error that keep a program going when a write to them fails.

Text is made safe on its way: control characters are escaped, workflow commands are kept from
GitHub's runner, and characters that the encoding lacks are spelled out. If the reader is gone or
the disk is full, the rest is dropped: a measurement is worth more than its table.
"""

import errno
import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, cast

from benchmark.output import printable, without_commands

_STYLE = re.compile(r"\x1b\[[0-9;]*m")
"""Colours and weights, which rich writes; they cannot move the cursor or name a window."""


class LenientStream(io.TextIOBase):
    """A text stream that never fails: it keeps the first error of a write and drops the rest."""

    def __init__(self, stream: IO[str]) -> None:
        """Write to this stream until it fails."""
        self._stream = stream
        self.error: OSError | None = None

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream, UTF-8 if it has none of its own."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Write the text; characters that the encoding lacks are escaped."""
        shown = text.encode(self.encoding, errors="backslashreplace").decode(self.encoding)
        with self._dropping():
            self._stream.write(shown)
        return len(text)

    def flush(self) -> None:
        """Flush the stream, unless it was closed, as it may be when this object is finalized."""
        if not self._stream.closed:
            with self._dropping():
                self._stream.flush()

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Return the stream's file descriptor."""
        return self._stream.fileno()

    def writable(self) -> bool:
        """Return True."""
        return True

    @contextmanager
    def _dropping(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.error = self.error or error
            self._discard()

    def _discard(self) -> None:
        """Send the rest, and what is buffered, to nowhere; Python would fail on it at its end."""
        with suppress(OSError):  # io.UnsupportedOperation, of a stream without a descriptor
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


class GuardedStream(LenientStream):
    """A stream that escapes control characters.

    Rich's colours pass unchanged. So does a carriage return on a terminal, where progress bars
    overwrite themselves. Under GitHub Actions only :meth:`command` writes a workflow command.
    """

    def __init__(self, stream: IO[str], *, github: bool) -> None:
        """Guard a stream; ``github`` says whether GitHub's runner reads it."""
        super().__init__(stream)
        self._lenient = LenientStream(stream)
        self._github = github
        self._line_start = True

    @property
    def unguarded(self) -> IO[str]:
        """The same stream, for a console that makes text safe before it draws."""
        return cast("IO[str]", self._lenient)

    def write(self, text: str) -> int:
        """Write the text, made safe."""
        self._emit(self._safe(text))
        return len(text)

    def command(self, line: str) -> None:
        """Write a workflow command of the benchmark's own on a line of its own."""
        start = "" if self._line_start else "\n"
        self._emit(f"{start}{printable(line)}\n")

    def failure(self) -> OSError | None:
        """Return the first error of a write, except that the reader has left."""
        error = self.error or self._lenient.error
        return None if isinstance(error, BrokenPipeError) else error

    def _safe(self, text: str) -> str:
        parts = re.split(f"({_STYLE.pattern})", text)
        safe = "".join(
            part if number % 2 else self._escaped(part) for number, part in enumerate(parts)
        )
        if self._github:
            # A command is one at the start of a line, which an earlier write may have begun.
            safe = without_commands(safe) if self._line_start else without_commands(f"-{safe}")[1:]
        return safe

    def _escaped(self, text: str) -> str:
        if self.isatty():
            return "\r".join(map(printable, text.split("\r")))
        return printable(text.replace("\r\n", "\n"))

    def _emit(self, text: str) -> None:
        if not text:
            return
        super().write(text)
        self._line_start = text.endswith("\n")


@contextmanager
def guarded() -> Iterator[None]:
    """Guard standard output and standard error within this context."""
    _open_closed()
    github = os.environ.get("GITHUB_ACTIONS") == "true"
    before = sys.stdout, sys.stderr
    sys.stdout = GuardedStream(before[0] or _nowhere(), github=github)
    sys.stderr = GuardedStream(before[1] or _nowhere(), github=github)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        sys.stdout, sys.stderr = before


def output_failure() -> OSError | None:
    """Return why a part of the standard output was lost, None if nothing was.

    A reader that left early, as ``head`` does, has what it wanted.
    """
    sys.stdout.flush()
    return sys.stdout.failure() if isinstance(sys.stdout, GuardedStream) else None


def workflow_command(line: str) -> None:
    """Print a workflow command of the benchmark's own."""
    if isinstance(sys.stdout, GuardedStream):
        sys.stdout.command(line)
    else:
        sys.stdout.write(f"{line}\n")


def _open_closed() -> None:
    """Open the standard descriptors that are closed.

    The next file that is opened would get their number, and with it what libraries print.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError as error:
            if error.errno == errno.EBADF:
                os.open(os.devnull, os.O_RDWR)


def _nowhere() -> IO[str]:
    """Return a stream in place of one that is closed."""
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123  # a name, not a path
