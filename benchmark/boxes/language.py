"""Write worlds and operations as sentences in the authors' wording, and parse them.

A description is one sentence for the initial state and one for each operation. The parser accepts
exactly what :func:`describe` writes, and names the sentence that it rejects. :class:`Language`
is the wording that a variant of the dataset may change; the functions of this module write and
read the standard sentences.
"""

import re
from collections.abc import Iterable, Sequence

from benchmark.boxes.world import BOXES, apply_unchecked, check, contents
from benchmark.errors import LanguageError, RuleError
from benchmark.records import Contents, Operation, World

NOTHING = "nothing"

RESERVED = frozenset({NOTHING, "the", "and"})
"""Words of the sentences themselves, which cannot be names of objects."""

_ITEMS = "the [a-zA-Z]+(?: and the [a-zA-Z]+)*"
_CLAUSE = re.compile(rf"Box ([0-9]) contains ({NOTHING}|{_ITEMS})")
_MOVE = re.compile(rf"Move ({_ITEMS}) from Box ([0-9]) to Box ([0-9])\.")
_REMOVE = re.compile(rf"Remove ({_ITEMS}) from Box ([0-9])\.")
_PUT = re.compile(rf"Put ({_ITEMS}) into Box ([0-9])\.")


def items(objects: Contents) -> str:
    """Return the objects as ``the bag and the map``, or ``nothing``."""
    return " and ".join(f"the {name}" for name in objects) or NOTHING


def clause(box: int, objects: Contents) -> str:
    """Return a box and its contents as ``Box 0 contains the bag and the map``."""
    return f"Box {box} contains {items(objects)}"


def statement(world: World) -> str:
    """Return the contents of all boxes in one sentence."""
    return ", ".join(clause(box, objects) for box, objects in enumerate(world)) + "."


def sentence(operation: Operation) -> str:
    """Return the operation in one sentence, with its objects by name."""
    objects = items(operation.objects)
    if operation.kind == "move":
        return f"Move {objects} from Box {operation.source} to Box {operation.destination}."
    if operation.kind == "remove":
        return f"Remove {objects} from Box {operation.source}."
    return f"Put {objects} into Box {operation.destination}."


class Language:
    """The wording of a dataset. This class is the authors' standard one; variants subclass it.

    The wording of an operation may depend on the world, so the methods about operations take the
    world before it. Each method that parses is the inverse of one that writes.
    """

    def opening(self, box: int) -> str:
        """Return the words of a query before the contents: ``Box 0 contains``."""
        return f"Box {box} contains"

    def statement(self, world: World) -> str:
        """Return the contents of all boxes in one sentence, as an answer has it."""
        return statement(world)

    def introduction(self, initial: World) -> str:
        """Return the first sentence of a description."""
        return statement(initial)

    def initial(self, text: str) -> World:
        """Return the initial world of a description's first sentence.

        Raises:
            LanguageError: naming the sentence, when it is not in the language or its world
                breaks the rules.
        """
        return parse_statement(text)

    def sentence(self, operation: Operation, before: World) -> str:  # noqa: ARG002 - for variants
        """Return an operation in one sentence."""
        return sentence(operation)

    def operation(self, text: str, before: World) -> Operation:  # noqa: ARG002 - for variants
        """Return the operation of one sentence.

        Raises:
            LanguageError: naming the sentence, when it is not in the language.
        """
        return parse_sentence(text)

    def named(self, operation: Operation, before: World) -> Contents:  # noqa: ARG002 - for variants
        """Return the objects that the operation's sentence names."""
        return operation.objects


STANDARD = Language()
"""The wording of the standard dataset."""


def describe(initial: World, operations: Iterable[Operation], language: Language = STANDARD) -> str:
    """Return the initial world and the operations, one sentence each, joined by spaces."""
    sentences, world = [language.introduction(initial)], initial
    for operation in operations:
        sentences.append(language.sentence(operation, world))
        world = apply_unchecked(world, operation)
    return " ".join(sentences)


def parse(description: str, language: Language = STANDARD) -> tuple[World, tuple[Operation, ...]]:
    """Return the initial world and the operations of a description.

    It is the inverse of :func:`describe`.

    Raises:
        LanguageError: naming the first sentence that is not in the language, or whose initial
            world breaks the rules. Whether the operations can be carried out is not checked
            here: that is for :func:`benchmark.boxes.states.replay`.
    """
    first, *rest = _sentences(description)
    initial = world = language.initial(first)
    operations = []
    for text in rest:
        operation = language.operation(text, world)
        operations.append(operation)
        world = apply_unchecked(world, operation)
    return initial, tuple(operations)


def parse_statement(text: str) -> World:
    """Return the world that a statement describes; the inverse of :func:`statement`.

    Raises:
        LanguageError: naming the statement, if it is not one or its world breaks the rules.
    """
    clauses = text.removesuffix(".").split(", ")
    matches = [_CLAUSE.fullmatch(part) for part in clauses]
    numbers = [int(match[1]) for match in matches if match]
    if not text.endswith(".") or numbers != list(range(BOXES)) or None in matches:
        raise LanguageError(f"not a statement about Box 0 to Box {BOXES - 1} in order: {text!r}")
    world = tuple(_objects(match[2], text) for match in matches if match)
    try:
        return check(world)
    except RuleError as error:
        raise LanguageError(f"{error}: {text!r}") from error


def _sentences(description: str) -> Sequence[str]:
    parts = description.split(". ")
    return [part + "." for part in parts[:-1]] + parts[-1:]


def parse_sentence(text: str) -> Operation:
    """Return the operation of a standard sentence; the inverse of :func:`sentence`.

    Raises:
        LanguageError: naming the sentence, when it is not in the language.
    """
    if match := _MOVE.fullmatch(text):
        return Operation("move", _objects(match[1], text), int(match[2]), int(match[3]))
    if match := _REMOVE.fullmatch(text):
        return Operation("remove", _objects(match[1], text), int(match[2]), None)
    if match := _PUT.fullmatch(text):
        return Operation("put", _objects(match[1], text), None, int(match[2]))
    raise LanguageError(f"not a sentence of the boxes task: {text!r}")


def _objects(text: str, sentence_: str) -> Contents:
    if text == NOTHING:
        return ()
    names = tuple(part.removeprefix("the ") for part in text.split(" and "))
    if not RESERVED.isdisjoint(names):
        raise LanguageError(f"not the name of an object: {sentence_!r}")
    if names != contents(names):
        raise LanguageError(f"objects not in alphabetical order: {sentence_!r}")
    return names
