"""Make text from other sources safe for a terminal, for GitHub or for a document.

Names of models and files, texts of records and results, and messages of libraries may contain
control characters, markup, or commands to the program that reads the output. Each destination has
one function here that makes such text plain. What the benchmark prints passes through the streams
of :mod:`benchmark.streams`, which call :func:`printable` and :func:`without_commands`.
"""

import re

import regex

_INVISIBLE = regex.compile(
    r"[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]"
)
"""Invisible characters, fillers and variation selectors, and those that change the direction."""

_CONTROL = regex.compile(r"[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}--[\n\t]]", regex.V1)
"""Characters that control a terminal or reverse a line, except line ends and tabs."""

_WORKFLOW = re.compile(r"^(\s*)::", re.MULTILINE)
_OLD_WORKFLOW = "##["
_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""Spreadsheets read these full-width signs, too."""

_MARKDOWN = re.compile(r"([\\`*_\[\]<>#|~$&])")
_LIST = re.compile(r"^(\s*)([-+](?=\s)|\d+(?=[.)]\s))")
_LINK = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)", re.IGNORECASE)
_MENTION = re.compile(r"@(?=\w)")


_LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",  # no quotation mark, and no upside-down ? after one
    "[": "{[}",  # at the start of a row it would be an argument of the row above
    "*": "{*}",
    "\N{CHECK MARK}": r"\checkmark{}",
    "\N{BALLOT X}": r"$\times$",
    "\N{EN DASH}": "--",
    "\N{PLUS-MINUS SIGN}": r"$\pm$",
    "\N{GREATER-THAN OR EQUAL TO}": r"$\geq$",
    "\u27e8": r"$\langle$",
    "\u27e9": r"$\rangle$",
}


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


def latex(text: str) -> str:
    """Return the text as LaTeX that shows it as it is, in one line.

    It holds no command, no argument of the command before it, and no ligature of dashes.
    """
    one_line = escape_invisible(" ".join(text.split()))
    apart = re.sub("-(?=-)", "-{}", one_line)
    escaped = (_LATEX.get(part, part) for part in re.split("(-{}|.)", apart))
    return "".join(escaped)


def csv_cell(text: str) -> str:
    """Return the text as a cell in one row that no spreadsheet runs as a formula."""
    shown = printable(text)
    return f"'{shown}" if is_formula(shown) else shown


def is_formula(text: str) -> bool:
    """Return whether a spreadsheet may take the text for a formula."""
    return text.lstrip(" ").startswith(_FORMULA)


def _escape(match: "regex.Match[str]") -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"  # noqa: PLR2004  # Python's forms
