"""Standard output and standard error are harmless, and survive what happens to them."""

import io
import os
import sys
from pathlib import Path

import pytest

from benchmark import output, streams
from benchmark.terminal import GuardedConsole, console

HOSTILE = "a\x1b]0;title\x07\x1b[2J\x9b2J\u202eb\x00\x7f\u2028c"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


def _written(text: str, *, terminal: bool = False, github: bool = False) -> str:
    stream = Terminal() if terminal else io.StringIO()
    guard = streams.GuardedStream(stream, github=github)
    guard.write(text)
    return stream.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_a_stream_escapes_what_acts(terminal: bool) -> None:  # noqa: FBT001
    """The window's title, a cleared screen, a reversed line."""
    shown = _written(HOSTILE, terminal=terminal)
    assert shown == r"a\x1b]0;title\x07\x1b[2J\x9b2J\u202eb\x00\x7f\u2028c"


def test_colours_pass() -> None:
    """They are rich's own, and act on nothing but the look of text."""
    assert _written("\x1b[1;31mred\x1b[0m") == "\x1b[1;31mred\x1b[0m"


def test_a_carriage_return_is_for_terminals() -> None:
    """A progress bar overwrites itself on a terminal; elsewhere the text would hide a line."""
    assert _written("50 %\r100 %", terminal=True) == "50 %\r100 %"
    assert _written("ok\rerror") == r"ok\x0derror"


def test_what_an_encoding_lacks_is_escaped() -> None:
    """A finished run does not end at its own table."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    guard = streams.GuardedStream(stream, github=False)
    guard.write("caf\xe9 \u2265 \U0001f600\n")
    guard.flush()
    assert raw.getvalue() == rb"caf\xe9 \u2265 \U0001f600" + b"\n"


@pytest.mark.parametrize(
    "text",
    ["::error::x", "a\n::stop-commands::t", "  ::add-mask::a", "x ##[error]y", "\t::group::"],
)
def test_no_line_of_others_is_a_workflow_command(text: str) -> None:
    """Neither in the current nor in the older form; only the benchmark's own commands pass."""
    shown = _written(text, github=True)
    for line in shown.splitlines():
        assert not line.strip().startswith("::")
        assert "##[" not in line
    assert _written(text) == text


def test_a_command_cannot_be_put_together() -> None:
    """Two writes that make one line are one line; colons within it are left."""
    stream = io.StringIO()
    guard = streams.GuardedStream(stream, github=True)
    for part in ("a", "::b", "\n", "::c\n"):
        guard.write(part)
    assert stream.getvalue() == "a::b\n:\\:c\n"


def test_our_own_command_is_a_line_of_its_own() -> None:
    """Its data are escaped, so that it is one command."""
    stream = io.StringIO()
    guard = streams.GuardedStream(stream, github=True)
    guard.write("unfinished")
    title, data = output.workflow_property("a,b:c"), output.workflow_data("50%\n::error::")
    guard.command(f"::warning title={title}::{data}")
    assert stream.getvalue() == "unfinished\n::warning title=a%2Cb%3Ac::50%25%0A::error::\n"


def test_a_console_draws_but_text_does_not() -> None:
    """Styles of its own stay, control characters in text are escaped."""
    file = Terminal()
    console = GuardedConsole(file=file, force_terminal=True, width=200, color_system="standard")
    console.print("red [blue]text", style="red", highlight=False)
    console.print(HOSTILE, markup=False, highlight=False)
    shown = file.getvalue()
    assert "\x1b[31mred [blue]text\x1b[0m" in shown
    assert "\x1b]0;" not in shown
    assert r"\x1b]0;title" in shown


def test_guarded_streams_are_taken_away_again(capsys: pytest.CaptureFixture[str]) -> None:
    """Within the context alone."""
    with streams.guarded():
        sys.stdout.write("\x1b[2J\n")
        streams.workflow_command("::notice::ours")
    sys.stdout.write("plain\n")
    assert capsys.readouterr().out == "\\x1b[2J\n::notice::ours\nplain\n"


class Broken(io.StringIO):
    """A stream whose writes fail."""

    def __init__(self, error: OSError) -> None:
        """Raise this error on every write."""
        super().__init__()
        self.raised = error

    def write(self, text: str) -> int:
        """Raise the error."""
        raise self.raised


def test_a_failed_write_is_kept_and_not_raised() -> None:
    """The first error is the cause; later ones only follow from it."""
    broken = Broken(OSError(28, "No space left on device"))
    guard = streams.GuardedStream(broken, github=False)
    guard.write("x")
    broken.raised = OSError(5, "Input/output error")
    guard.write("y")
    failure = guard.failure()
    assert failure
    assert failure.errno == 28


def test_a_reader_that_left_is_no_failure() -> None:
    """As ``head`` does."""
    guard = streams.GuardedStream(Broken(BrokenPipeError(32, "Broken pipe")), github=False)
    guard.write("x")
    assert guard.failure() is None


def test_a_console_on_a_broken_terminal_goes_on() -> None:
    """Rich writes past the guard; that stream does not fail either."""
    guard = streams.GuardedStream(Broken(OSError(5, "Input/output error")), github=False)
    GuardedConsole(file=guard.unguarded, force_terminal=True).print("x")
    failure = guard.failure()
    assert failure
    assert failure.errno == 5


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full (Linux)")
def test_what_is_buffered_does_not_fail_later() -> None:
    """The rest goes nowhere, so that Python's last flush has nothing to complain about."""
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        guard = streams.GuardedStream(full, github=False)
        guard.write("x" * 100_000)
        guard.flush()
        assert guard.failure()
        assert os.fstat(full.fileno()).st_rdev == Path(os.devnull).stat().st_rdev


def test_a_closed_stream_is_not_flushed() -> None:
    """Python 3.13 reports what a finalizer raises, and finalizing a stream flushes it."""
    stream = io.StringIO()
    guard = streams.GuardedStream(stream, github=False)
    stream.close()
    guard.close()
    assert guard.error is None


def test_what_was_lost_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the output is flushed."""
    monkeypatch.setattr(sys, "stdout", Broken(OSError(28, "No space left on device")))
    with streams.guarded():
        assert streams.output_failure() is None
        sys.stdout.write("x")
        failure = streams.output_failure()
    assert failure
    assert failure.errno == 28


@pytest.mark.parametrize("columns", ["0", "-5", "x"])
def test_a_terminal_without_width_shows_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: str
) -> None:
    """Rich prints nothing at all for COLUMNS=0."""
    monkeypatch.setenv("COLUMNS", columns)
    console().print("some words")
    assert capsys.readouterr().out == "some words\n"
