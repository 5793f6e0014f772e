"""A regular expression as a grammar in llama.cpp's notation (GBNF), which has no expressions.

It covers what the expressions of tasks have: literals, escapes, character classes, groups,
alternatives and repetitions. Anything else is refused, since a grammar of other answers would be
worse than none: shorthands, which mean characters of all scripts in an expression, and operations
on classes.
"""

import json
import re
from dataclasses import dataclass

from benchmark.errors import SettingError

_REPETITION = re.compile(r"[*+?]|\{\d+(?:,\d*)?\}")
_CLASS = re.compile(r"\[\^?+(?:\\[\]\\^nt]|[^\[\]\\])+\]")
_SET_OPERATORS = ("&&", "--", "~~")
_GROUP = re.compile(r"\((?:\?:)?")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_UNSUPPORTED = frozenset("^$")


def grammar(expression: str) -> str:
    """Return the grammar whose texts are those that the whole expression matches.

    Raises:
        SettingError: for an expression with parts that are not covered.
    """
    parser = _Parser(expression)
    root = parser.alternatives()
    if parser.position < len(expression):
        raise parser.error()
    return f"root ::= {root}\n"


@dataclass
class _Parser:
    """Reads an expression from left to right."""

    expression: str
    position: int = 0

    def alternatives(self) -> str:
        """Return sequences that are separated by ``|``."""
        parts = [self._sequence()]
        while self._take("|"):
            parts.append(self._sequence())
        return " | ".join(parts)

    def error(self) -> SettingError:
        """Return the error about the present position."""
        rest = self.expression[self.position : self.position + 20]
        return SettingError(
            f"no grammar for the expression at {rest!r}; use another kind of server"
        )

    def _sequence(self) -> str:
        parts, literal = list[str](), ""
        while self.position < len(self.expression) and self.expression[self.position] not in "|)":
            part, is_character = self._atom()
            repetition = self._match(_REPETITION)
            if is_character and not repetition:
                literal += part
                continue
            if literal:
                parts.append(json.dumps(literal, ensure_ascii=False))
                literal = ""
            atom = json.dumps(part, ensure_ascii=False) if is_character else part
            parts.append(atom + (repetition or ""))
        if literal:
            parts.append(json.dumps(literal, ensure_ascii=False))
        return " ".join(parts) or '""'

    def _atom(self) -> tuple[str, bool]:
        """Return a character, or the rule of a class or group, and whether it is a character."""
        if self._match(_GROUP):
            inside = self.alternatives()
            if not self._take(")"):
                raise self.error()
            return f"({inside})", False
        if characters := self._match(_CLASS):
            if any(operator in characters for operator in _SET_OPERATORS):
                raise self.error()
            return characters, False
        character = self.expression[self.position]
        if character == "\\":
            return self._escape()
        if character == ".":
            self.position += 1
            return "[^\\n]", False
        if character in _UNSUPPORTED or _REPETITION.match(character) or character in "[{":
            raise self.error()
        self.position += 1
        return character, True

    def _escape(self) -> tuple[str, bool]:
        name = self.expression[self.position + 1 : self.position + 2]
        if not name or (name.isalnum() and name not in _ESCAPES):
            raise self.error()
        self.position += 2
        return _ESCAPES.get(name, name), True

    def _match(self, pattern: re.Pattern[str]) -> str | None:
        match = pattern.match(self.expression, self.position)
        if match is None:
            return None
        if match[0] == "(" and self.expression[self.position + 1 : self.position + 2] == "?":
            raise self.error()
        self.position = match.end()
        return match[0]

    def _take(self, character: str) -> bool:
        taken = self.expression.startswith(character, self.position)
        self.position += taken
        return taken
