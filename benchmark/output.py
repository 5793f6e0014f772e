"""Make text from other sources safe for a terminal, for GitHub or for a document.

Names of models and files, texts of records and results, and messages of libraries may contain
control characters, markup, or commands to the program that reads the output. Each destination has
one function here that makes such text plain. All output of the benchmark passes through
:func:`guarded` streams, which escape control characters and keep workflow commands from reaching
GitHub's runner.
"""

import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import regex

_INVISIBLE = regex.compile(
    r"[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]"
)
"""Invisible characters, fillers and variation selectors, and those that change the direction."""

_CONTROL = regex.compile(r"[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}--[\n\t]]", regex.V1)
"""Characters that control a terminal or reverse a line, except line ends and tabs."""

_STYLE = re.compile(r"\x1b\[[0-9;]*m")
"""Colours and weights, which rich writes; they cannot move the cursor or name a window."""

_WORKFLOW = re.compile(r"^(\s*)::", re.MULTILINE)
_OLD_WORKFLOW = "##["
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#|~$&])")
_LIST = re.compile(r"^(\s*)([-+](?=\s)|\d+(?=[.)]\s))")
_LINK = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)", re.IGNORECASE)
_MENTION = re.compile(r"@(?=\w)")


def escape_invisible(text: object) -> str:
    """Return the text with every character spelled out that is not seen or turns its direction."""
    spelled: str = _INVISIBLE.sub(lambda match: f"\u27e8U+{ord(match[0]):04X}\u27e9", str(text))
    return spelled


def printable(text: str) -> str:
    r"""Return the text for a terminal: control characters are escaped, ``\x1b`` for the escape.

    Ends of lines and tabs are kept.
    """
    escaped: str = _CONTROL.sub(_escape, text)
    return escaped


def workflow_data(text: str) -> str:
    """Return the text as data of a GitHub workflow command."""
    for character in "%\r\n":
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def workflow_property(text: str) -> str:
    """Return the text as the value of a property of a GitHub workflow command."""
    return workflow_data(text).replace(",", "%2C").replace(":", "%3A")


def without_commands(text: str) -> str:
    r"""Return lines in which GitHub's runner finds no command.

    The runner takes a line whose first characters are ``::`` and, in its older form, ``##[``
    anywhere: ``without_commands("::error::x")`` is ``":\\:error::x"``.
    """
    return _WORKFLOW.sub(r"\1:\\:", text).replace(_OLD_WORKFLOW, "##\\[")


def markdown(text: str) -> str:
    """Return the text as Markdown that shows it as it is, in one line."""
    one_line = escape_invisible(" ".join(text.splitlines()))
    escaped = _LIST.sub(r"\1\\\2", _MARKDOWN.sub(r"\\\1", one_line))
    # A word joiner, which is invisible, keeps GitHub from notifying a user of that name.
    return _MENTION.sub("@\N{WORD JOINER}", _LINK.sub(r"\\", escaped))


def csv_cell(text: str) -> str:
    """Return the text as a cell that no spreadsheet runs as a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


class GuardedStream(io.TextIOBase):
    """A text stream that escapes control characters and never fails to encode a text.

    Rich's colours pass unchanged. So does a carriage return on a terminal, where progress bars
    overwrite themselves. Under GitHub Actions only :meth:`command` writes a workflow command.
    """

    def __init__(self, stream: IO[str], *, github: bool) -> None:
        """Guard a stream; ``github`` says whether GitHub's runner reads it."""
        self._stream = stream
        self._github = github
        self._line_start = True

    @property
    def unguarded(self) -> IO[str]:
        """The stream itself, for a console that makes text safe before it draws."""
        return self._stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream, UTF-8 if it has none of its own."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Write the text, made safe."""
        self._emit(self._safe(text))
        return len(text)

    def command(self, line: str) -> None:
        """Write a workflow command of the benchmark's own on a line of its own."""
        start = "" if self._line_start else "\n"
        self._emit(f"{start}{printable(line)}\n")

    def flush(self) -> None:
        """Flush the stream."""
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
        shown = text.encode(self.encoding, errors="backslashreplace").decode(self.encoding)
        self._stream.write(shown)
        self._line_start = text.endswith("\n")


@contextmanager
def guarded() -> Iterator[None]:
    """Guard standard output and standard error within this context."""
    github = os.environ.get("GITHUB_ACTIONS") == "true"
    before = sys.stdout, sys.stderr
    sys.stdout = GuardedStream(sys.stdout, github=github)
    sys.stderr = GuardedStream(sys.stderr, github=github)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        sys.stdout, sys.stderr = before


def workflow_command(line: str) -> None:
    """Print a workflow command of the benchmark's own."""
    if isinstance(sys.stdout, GuardedStream):
        sys.stdout.command(line)
    else:
        sys.stdout.write(f"{line}\n")


def _escape(match: "regex.Match[str]") -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"  # noqa: PLR2004  # Python's forms
