"""A model's text as an answer: what it says each box contains.

Only what follows the first ``Statement:`` counts (all of it if there is none), up to the next
``Statement:`` or full stop, and there only the first mention of each box.
"""

import re
from functools import cache

from benchmark.boxes.language import NOTHING
from benchmark.records import Answer

_START = "Statement:"
_BETWEEN_OBJECTS = re.compile(",? and |, ")
_DETERMINERS = re.compile("^(?:the )+")
_EMPTY = r"is(?:\s+(?:now|still|also|currently))?\s+empty"


def parse_answer(text: str, boxes: int) -> Answer:
    """Return what the text says of each of ``boxes`` boxes, None where it says nothing.

    A box that is missing, or that contains no word at all, is not answered for. ``nothing``
    and ``is empty`` are the empty set when they are all that is said of the box, and words
    like any other beside something else. A box whose clause cannot be read ends the one
    before it and is not answered for. No text raises.
    """
    said: dict[int, re.Match[str]] = {}
    statement, ended = _statement(text)
    for match in _clauses(boxes).finditer(statement):
        said.setdefault(int(match["box"]), match)
    found = [said.get(box) for box in range(boxes)]
    return Answer(
        contents=tuple(None if match is None else _objects(match) for match in found),
        verbatim=tuple(
            _verbatim(match, ended=ended) if match is not None else None for match in found
        ),
    )


def _statement(text: str) -> tuple[str, bool]:
    """What counts of the text, and whether a full stop ends it."""
    parts = text.split(_START)
    # A model may write the word twice before it begins.
    said = next((part for part in parts[1:] if part.strip()), "") if parts[1:] else text
    statement, stop, _ = said.partition(".")
    return statement, bool(stop)


@cache
def _clauses(boxes: int) -> re.Pattern[str]:
    """``Box k contains ...`` or ``Box k is empty``, up to the next box or the end of the text.

    After a comma or at a line's beginning any next ``Box`` ends a clause, readable or cut off,
    after ``and`` one with a number (the constraint allows ``Box`` as an object's name), and without
    a separator only one with a number and a verb: ``the map from Box 1`` goes on. What may end one
    begins with a single space, so that long runs of spaces take no longer than other text.
    """
    names = "|".join(map(str, range(boxes)))
    verb = rf"(?i:contains|{_EMPTY})\b"
    ends = (
        r"(?P<separator>[,;]\s+Box\b|(?:,\s+|\s)and\s+Box\s+[0-9])",
        r"[,;]\s+(?i:box(?:es)?)\b",
        r"\n[ \t]*(?i:box)\b",
        rf"\s(?:-\s+)?(?i:box)\s+[0-9]+\s+{verb}",
        "$",
    )
    said = rf"(?i:contains\b|(?P<empty>{_EMPTY}\b))"
    return re.compile(
        rf"\bBox\s+(?P<box>{names})\s+{said}(?P<content>.*?)(?={'|'.join(ends)})", re.DOTALL
    )


def _objects(match: re.Match[str]) -> frozenset[str] | None:
    content = " ".join(match["content"].split())
    if match["empty"]:
        return None if content else frozenset()
    if not content:
        return None
    if content == NOTHING:
        return frozenset()
    parts = _BETWEEN_OBJECTS.split(content)
    return frozenset(_DETERMINERS.sub("", part) for part in parts)


def _verbatim(match: re.Match[str], *, ended: bool) -> str | None:
    """The words of a clause that a separator and the next box, or the full stop, ends."""
    whole = bool(match["separator"]) or (ended and match.end() == len(match.string))
    content = match["content"].strip()
    if not whole:
        return None
    if match["empty"]:
        return None if content else NOTHING
    return content or None
