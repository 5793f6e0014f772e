"""A model's text as an answer: what it says each box contains.

Only what follows the first ``Statement:`` counts (all of it, where there is none), up to the
next full stop, and there only the first mention of each box.
"""

import re
from functools import cache

from benchmark.records import Answer

_START = "Statement:"
_NOTHING = "nothing"
_BETWEEN_OBJECTS = re.compile(",? and |, ")
_DETERMINERS = re.compile("^(?:the )+")


def parse_answer(text: str, boxes: int) -> Answer:
    """The contents that the text gives each of so many boxes, None where it gives none.

    A box that is missing, or that contains no word at all, is not answered for. ``nothing``
    is the empty set when it is all that the box contains, and a word like any other beside
    something else. No text raises.
    """
    said: dict[int, str] = {}
    for match in _clauses(boxes).finditer(_statement(text)):
        said.setdefault(int(match["box"]), match["content"].strip())
    return Answer(tuple(_objects(said.get(box, "")) for box in range(boxes)))


def _statement(text: str) -> str:
    """What counts of the text, with single spaces."""
    _, start, after = text.partition(_START)
    return " ".join((after if start else text).partition(".")[0].split())


@cache
def _clauses(boxes: int) -> re.Pattern[str]:
    """``Box k contains ...`` up to the next box, or to where a text is cut off within one."""
    names = "|".join(map(str, range(boxes)))
    next_box = "(?:,? and|,|;)? Box [0-9]+ contains|[,;] Box(?: [0-9]*(?: [a-z]*)?)?$|$"
    return re.compile(rf"\bBox (?P<box>{names}) contains\b(?P<content>.*?)(?={next_box})")


def _objects(content: str) -> frozenset[str] | None:
    if not content:
        return None
    if content == _NOTHING:
        return frozenset()
    parts = _BETWEEN_OBJECTS.split(content)
    return frozenset(_DETERMINERS.sub("", part) for part in parts)
