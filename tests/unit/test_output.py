"""Text from other sources is harmless where it is shown."""

import csv
import io
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark import output
from benchmark.terminal import GuardedConsole

HOSTILE = "a\x1b]0;title\x07\x1b[2J\x9b2J\u202eb\x00\x7f\u2028c"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


def _written(text: str, *, terminal: bool = False, github: bool = False) -> str:
    stream = Terminal() if terminal else io.StringIO()
    guard = output.GuardedStream(stream, github=github)
    guard.write(text)
    return stream.getvalue()


@given(st.text())
def test_no_control_character_is_printed(text: str) -> None:
    """But ends of lines and tabs; the others are escaped."""
    shown = output.printable(text)
    assert not [c for c in shown if unicodedata.category(c) in {"Cc", "Cs"} and c not in "\n\t"]
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@given(st.text(st.characters(exclude_categories=("C", "Z"))))
def test_ordinary_text_is_printed_as_it_is(text: str) -> None:
    """In any script."""
    assert output.printable(text) == text


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
    guard = output.GuardedStream(stream, github=False)
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
    guard = output.GuardedStream(stream, github=True)
    for part in ("a", "::b", "\n", "::c\n"):
        guard.write(part)
    assert stream.getvalue() == "a::b\n:\\:c\n"


def test_our_own_command_is_a_line_of_its_own() -> None:
    """Its data are escaped, so that it is one command."""
    stream = io.StringIO()
    guard = output.GuardedStream(stream, github=True)
    guard.write("unfinished")
    title, data = output.workflow_property("a,b:c"), output.workflow_data("50%\n::error::")
    guard.command(f"::warning title={title}::{data}")
    assert stream.getvalue() == "unfinished\n::warning title=a%2Cb%3Ac::50%25%0A::error::\n"


def test_a_console_draws_but_text_does_not() -> None:
    """Styles of its own stay, control characters in text are escaped."""
    file = Terminal()
    console = GuardedConsole(file=file, force_terminal=True, width=200, color_system="standard")
    console.print("[red]red[/red]", style=None)
    console.print(HOSTILE, markup=False, highlight=False)
    shown = file.getvalue()
    assert "\x1b[31mred" in shown
    assert "\x1b]0;" not in shown
    assert r"\x1b]0;title" in shown


@given(st.text(min_size=1))
def test_markdown_shows_the_text(text: str) -> None:
    """No character that Markdown reads is left without a backslash."""
    shown = output.markdown(text)
    assert "\n" not in shown
    plain = shown.replace("\\\\", "").replace("\\", "\0")
    for position, character in enumerate(plain):
        if character in "`*_{}[]<>()#|~&":
            assert plain[position - 1] == "\0"


@given(st.text())
def test_no_cell_is_a_formula(text: str) -> None:
    """What begins like one is quoted as spreadsheets do."""
    cell = output.csv_cell(text)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert cell.removeprefix("'") == text.removeprefix("'")
    buffer = io.StringIO()
    csv.writer(buffer).writerow([cell])


def test_guarded_streams_are_taken_away_again(capsys: pytest.CaptureFixture[str]) -> None:
    """Within the context alone."""
    with output.guarded():
        sys.stdout.write("\x1b[2J\n")
        output.workflow_command("::notice::ours")
    sys.stdout.write("plain\n")
    assert capsys.readouterr().out == "\\x1b[2J\n::notice::ours\nplain\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2.13 -> 2.14", r"2.13 -\> 2.14"),
        ("- a", r"\- a"),
        ("1. a", r"\1. a"),
        ("https://a.b", r"https:\//a.b"),
        ("www.a.b", r"www\.a.b"),
        ("<b>[x](y)", r"\<b\>\[x\]\(y\)"),
        ("ask @octocat", "ask @\u2060octocat"),
        ("a\n\nb", "a  b"),
    ],
)
def test_markdown_is_text(text: str, shown: str) -> None:
    """No list, link, markup or mention, and figures stay readable."""
    assert output.markdown(text) == shown
