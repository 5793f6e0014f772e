"""Escaping of everything that goes into the page."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError

from benchmark.output import escape_invisible
from benchmark.report.templates import (
    csp_hash,
    points,
    script_json,
    template_environment,
)

IGNORABLE = (
    (0x00AD,), (0x034F,), (0x061C,), (0x115F, 0x1160), (0x17B4, 0x17B5), range(0x180B, 0x1810),
    range(0x200B, 0x2010), range(0x202A, 0x202F), range(0x2060, 0x2070), (0x3164,),
    range(0xFE00, 0xFE10), (0xFEFF,), (0xFFA0,), range(0xFFF0, 0xFFF9), range(0x1BCA0, 0x1BCA4),
    range(0x1D173, 0x1D17B), range(0xE0000, 0xE1000),
)  # fmt: skip
"""Default_Ignorable_Code_Point, as listed in Unicode's DerivedCoreProperties."""

HIDDEN = frozenset(chr(code) for codes in IGNORABLE for code in codes)

ANY = st.text(st.characters(codec=None, exclude_categories=()))


@given(ANY)
def test_json_stays_in_its_element(text: str) -> None:
    """JSON cannot end a script element or open a comment, and is read back unchanged."""
    written = str(script_json({text: [text]}))
    assert not set("<>&\u2028\u2029") & set(written)
    assert written.isascii()
    assert json.loads(written) == {text: [text]}


@given(ANY)
def test_no_invisible_characters(text: str) -> None:
    """Control characters, surrogates and direction characters are escaped; the rest is kept."""
    shown = escape_invisible(text)
    assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    shown.encode()
    assert not HIDDEN & set(shown)
    if text.isprintable() and not HIDDEN & set(text):
        assert shown == text


def test_invisible_characters_are_shown_by_code() -> None:
    """An invisible character is replaced by its code point."""
    assert escape_invisible("a\u202eb\x00") == "a⟨U+202E⟩b⟨U+0000⟩"


def test_every_ignorable_character_is_escaped() -> None:
    """Fillers, joiners and variation selectors are escaped, though they are letters or marks."""
    for character in HIDDEN:
        assert escape_invisible(f"a{character}") == f"a⟨U+{ord(character):04X}⟩"


def test_templates_escape_and_are_strict() -> None:
    """Values are escaped, and an undefined name is an error."""
    template = template_environment().from_string("<p title='{{ text }}'>{{ text }}</p>")
    assert (
        template.render(text="<i>'\"&")
        == "<p title='&lt;i&gt;&#39;&#34;&amp;'>&lt;i&gt;&#39;&#34;&amp;</p>"
    )
    with pytest.raises(UndefinedError):
        template.render()


def test_points() -> None:
    """Differences have a sign, with a proper minus character."""
    assert (points(0.031), points(-0.083)) == ("+3.1", "\N{MINUS SIGN}8.3")


def test_digest() -> None:
    """The hash of the empty text is the well-known one."""
    assert csp_hash("") == "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
