"""The types of error: one for every query that is wrong by ``set``.

The list is closed. Every wrong answer has the first type in the order of :data:`ERROR_TYPES` that
applies to it, so the types are mutually exclusive, and their counts add up to the wrong queries.
``docs/errors.md`` has the list with an example of each type.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from benchmark.boxes.histories import BoxHistory, ChangeKind, Objects, StateHistory
from benchmark.records import Answer

RIGHT = "."
"""The code of a query that is right."""


@dataclass(frozen=True)
class WrongAnswer:
    """What a model says about one box, next to what happened to the box.

    ``objects`` are None if the answer has no contents for the box that can be read. ``mentioned``
    are all objects of the description, ``examples`` those of the solved examples in the prompt.
    """

    objects: Objects | None
    box: BoxHistory
    mentioned: Objects
    examples: Objects

    @property
    def contents(self) -> Objects:
        """The objects in the answer; empty without an answer."""
        return self.objects or frozenset()

    @property
    def extra(self) -> Objects:
        """The objects that are in the answer only."""
        return self.contents - self.box.stages[-1]

    @property
    def missing(self) -> Objects:
        """The objects that are in the box only."""
        return self.box.stages[-1] - self.contents

    @cached_property
    def missed(self) -> ChangeKind | None:
        """The kind of the one change without which the answer would be right, the latest first.

        None if ignoring one change, and carrying out all others, does not lead to the answer.
        """
        for number in reversed(range(len(self.box.changes))):
            if self.box.without(number) == self.contents:
                return self.box.changes[number].kind
        return None


@dataclass(frozen=True, slots=True)
class ErrorType:
    """A type of error: its name in results, one letter, its rule in words, and the rule."""

    name: str
    code: str
    words: str
    applies: Callable[[WrongAnswer], bool]

    @property
    def title(self) -> str:
        """The name in tables."""
        return self.name.replace("_", " ")


def _missed(name: str, code: str, kind: ChangeKind, change: str) -> ErrorType:
    words = f"what the box would hold if one change, {change}, had been ignored"
    return ErrorType(name, code, words, lambda wrong: wrong.missed == kind)


ERROR_TYPES: tuple[ErrorType, ...] = (
    ErrorType(
        "no_answer", "f", "no contents for the box can be read", lambda wrong: wrong.objects is None
    ),
    ErrorType(
        "initial_contents",
        "i",
        "what the box held at first, before any change",
        lambda wrong: bool(wrong.box.changes) and wrong.contents == wrong.box.initial,
    ),
    _missed("missed_put", "p", "put", "a put"),
    _missed("missed_remove", "r", "remove", "a removal"),
    _missed("missed_move_in", "a", "move in", "a move into the box"),
    _missed("missed_move_out", "d", "move out", "a move out of the box"),
    ErrorType(
        "earlier_contents",
        "e",
        "what the box held between two of its changes",
        lambda wrong: wrong.contents in wrong.box.stages,
    ),
    ErrorType(
        "never_mentioned",
        "u",
        "an object that the prompt does not mention",
        lambda wrong: not wrong.contents <= wrong.mentioned | wrong.examples,
    ),
    ErrorType(
        "from_examples",
        "s",
        "an object of the prompt's solved examples that the description does not mention",
        lambda wrong: not wrong.contents <= wrong.mentioned,
    ),
    ErrorType(
        "other_box",
        "o",
        "an object that was never in this box, only in others",
        lambda wrong: not wrong.contents <= wrong.box.ever,
    ),
    ErrorType(
        "extra_objects", "x", "all objects, and others that left the box", lambda w: not w.missing
    ),
    ErrorType("missing_objects", "m", "only some of the objects, or none", lambda w: not w.extra),
    ErrorType("mixed", "b", "objects are missing, and others left the box", lambda _: True),
)
"""All types, in order of precedence."""

BY_CODE: Mapping[str, ErrorType] = MappingProxyType({row.code: row for row in ERROR_TYPES})
"""The types by their letters."""

BY_NAME: Mapping[str, ErrorType] = MappingProxyType({row.name: row for row in ERROR_TYPES})
"""The types by their names."""


def error_type(wrong: WrongAnswer) -> ErrorType:
    """Return the type of a wrong answer: the first one that applies."""
    return next(row for row in ERROR_TYPES if row.applies(wrong))


def error_codes(answer: Answer, history: StateHistory, examples: Objects) -> str:
    """Return one letter per query of a state: :data:`RIGHT`, or the code of the type of error.

    ``examples`` are the objects of the solved examples in the prompt.
    """
    return "".join(
        RIGHT
        if objects == box.stages[-1]
        else error_type(WrongAnswer(objects, box, history.mentioned, examples)).code
        for objects, box in zip(answer.contents, history.boxes, strict=True)
    )


def are_codes(codes: Iterable[str]) -> bool:
    """Return whether all letters are codes of this version's list."""
    return set().union(*codes) <= {RIGHT, *BY_CODE}
