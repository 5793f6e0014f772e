"""Parse a model's text: what it says each box contains.

Only the text after the first ``Statement:`` counts, up to the next ``Statement:`` or full stop,
and only the first mention of each box. If no ``Statement:`` occurs, the text counts from its start.
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
    """Return what the text says of each of ``boxes`` boxes, None for a box without an answer.

    A box that is missing, or whose clause has no words, has no answer. ``nothing`` and ``is empty``
    are the empty set if the clause says nothing else; otherwise they are ordinary words. A clause
    that cannot be parsed ends the clause before it, and its box has no answer. No text raises.
    """
    first_mentions: dict[int, re.Match[str]] = {}
    statement, ended = _statement(text)
    for match in _clauses(boxes).finditer(statement):
        first_mentions.setdefault(int(match["box"]), match)
    matches = [first_mentions.get(box) for box in range(boxes)]
    return Answer(
        contents=tuple(None if match is None else _objects(match) for match in matches),
        verbatim=tuple(
            None if match is None else _verbatim(match, ended=ended) for match in matches
        ),
    )


def _statement(text: str) -> tuple[str, bool]:
    """Return the part of the text that counts, and whether a full stop ends it."""
    first, *rest = text.split(_START)
    # A model may repeat the word before the statement itself.
    statement = next((part for part in rest if part.strip()), "") if rest else first
    statement, stop, _ = statement.partition(".")
    return statement, bool(stop)


@cache
def _clauses(boxes: int) -> re.Pattern[str]:
    """Return the pattern of ``Box k contains ...`` or ``Box k is empty``, up to the next box.

    A clause ends at the end of the text, and at a ``Box``

    - after a comma or at the start of a line, even if that clause is unreadable or cut off;
    - after ``and``, if a number follows (the constraint allows ``Box`` as an object's name);
    - without a separator, if a number and a verb follow: ``the map from Box 1`` goes on.

    Every such end starts with a single space, so that long runs of spaces take linear time.
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
    predicate = rf"(?i:contains\b|(?P<empty>{_EMPTY}\b))"
    return re.compile(
        rf"\bBox\s+(?P<box>{names})\s+{predicate}(?P<content>.*?)(?={'|'.join(ends)})", re.DOTALL
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
    """Return the words of a clause that is complete: another box or the full stop follows."""
    complete = bool(match["separator"]) or (ended and match.end() == len(match.string))
    content = match["content"].strip()
    if not complete:
        return None
    if match["empty"]:
        return None if content else NOTHING
    return content or None
