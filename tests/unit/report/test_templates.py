"""What goes into the page cannot get out of its place."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError

from benchmark.report.templates import digest, environment, points, script_json, visible

IGNORABLE = (
    (0x00AD,), (0x034F,), (0x061C,), (0x115F, 0x1160), (0x17B4, 0x17B5), range(0x180B, 0x1810),
    range(0x200B, 0x2010), range(0x202A, 0x202F), range(0x2060, 0x2070), (0x3164,),
    range(0xFE00, 0xFE10), (0xFEFF,), (0xFFA0,), range(0xFFF0, 0xFFF9), range(0x1BCA0, 0x1BCA4),
    range(0x1D173, 0x1D17B), range(0xE0000, 0xE1000),
)  # fmt: skip
"""Default_Ignorable_Code_Point as Unicode's DerivedCoreProperties lists it."""

HIDDEN = frozenset(chr(code) for codes in IGNORABLE for code in codes)

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
    assert not HIDDEN & set(shown)
    if text.isprintable() and not HIDDEN & set(text):
        assert shown == text


def test_visible_names_the_character() -> None:
    """A character that cannot be seen is named by its number."""
    assert visible("a\u202eb\x00") == "a⟨U+202E⟩b⟨U+0000⟩"


def test_visible_spells_out_every_ignorable_character() -> None:
    """Fillers, joiners and variation selectors are named, though they count as letters or marks."""
    for character in HIDDEN:
        assert visible(f"a{character}") == f"a⟨U+{ord(character):04X}⟩"


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
