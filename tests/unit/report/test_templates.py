"""What goes into the page cannot get out of its place."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError

from benchmark.report.templates import digest, environment, points, script_json, visible

ANY = st.text(st.characters(codec=None, exclude_categories=()))


@given(ANY)
def test_json_stays_in_its_element(text: str) -> None:
    """Nothing in it can end a script or open a comment, and it reads back as it was."""
    written = str(script_json({text: [text]}))
    assert not set("<>&\u2028\u2029") & set(written)
    assert written.isascii()
    assert json.loads(written) == {text: [text]}


@given(ANY)
def test_visible_text_has_nothing_invisible(text: str) -> None:
    """Control characters, surrogates and marks of direction are spelled out; the rest is kept."""
    shown = visible(text)
    assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    shown.encode()
    if text.isprintable():
        assert shown == text


def test_visible_names_the_character() -> None:
    """A character that cannot be seen is named by its number."""
    assert visible("a\u202eb\x00") == "a⟨U+202E⟩b⟨U+0000⟩"


def test_templates_escape_and_are_strict() -> None:
    """Whatever is put in is escaped, and a name that is not given is an error."""
    made = environment().from_string("<p title='{{ text }}'>{{ text }}</p>")
    assert (
        made.render(text="<i>'\"&")
        == "<p title='&lt;i&gt;&#39;&#34;&amp;'>&lt;i&gt;&#39;&#34;&amp;</p>"
    )
    with pytest.raises(UndefinedError):
        made.render()


def test_points() -> None:
    """Differences have a sign, and a minus as long as the plus."""
    assert (points(0.031), points(-0.083)) == ("+3.1", "\N{MINUS SIGN}8.3")


def test_digest() -> None:
    """The digest of the empty text is the well-known one."""
    assert digest("") == "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
