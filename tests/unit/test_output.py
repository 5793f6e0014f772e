"""Text from other sources is harmless where it is shown."""

import csv
import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark import output


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


@given(st.text(min_size=1))
def test_markdown_shows_the_text(text: str) -> None:
    """No character that Markdown reads is left without a backslash."""
    shown = output.markdown(text)
    assert "\n" not in shown
    plain = shown.replace("\\\\", "").replace("\\", "\0")
    for position, character in enumerate(plain):
        if character in "`*_[]<>#|~$&":
            assert plain[position - 1] == "\0"


@given(st.text())
def test_no_cell_is_a_formula(text: str) -> None:
    """What begins like one is quoted as spreadsheets do."""
    cell = output.csv_cell(text)
    assert not cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\uff1d"))
    assert cell.removeprefix("'") == output.printable(text).removeprefix("'")
    buffer = io.StringIO()
    csv.writer(buffer).writerow([cell])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2.13 -> 2.14", r"2.13 -\> 2.14"),
        ("- a", r"\- a"),
        ("1. a", r"\1. a"),
        ("https://a.b", r"https:\//a.b"),
        ("www.a.b", r"www\.a.b"),
        ("<b>[x](y)", r"\<b\>\[x\](y)"),
        ("ask @octocat", "ask @\u2060octocat"),
        ("a\n\nb", "a  b"),
    ],
)
def test_markdown_is_text(text: str, shown: str) -> None:
    """No list, link, markup or mention, and figures stay readable."""
    assert output.markdown(text) == shown
