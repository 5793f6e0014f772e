"""The wording of the authors' dataset MoveContents, where a move of all objects names none.

Every move of all objects of a box is worded ``Move the contents of Box 2 to Box 3.``; all other
sentences are the standard ones. Worlds and operations are drawn in the same way.

Source: https://github.com/sebschu/entity-tracking-lms at 8400de0,
``src/dataset_generation/generate_boxes_data.py`` with ``--all_contents_operation``.
"""

import re

from benchmark.boxes.language import Language
from benchmark.errors import LanguageError
from benchmark.records import Contents, Operation, World

_ALL = re.compile(r"Move the contents of Box ([0-9]) to Box ([0-9])\.")


class MoveContents(Language):
    """The standard wording, except for moves of all objects of a box."""

    def sentence(self, operation: Operation, before: World) -> str:
        """Return an operation in one sentence."""
        if _takes_all(operation, before):
            return f"Move the contents of Box {operation.source} to Box {operation.destination}."
        return super().sentence(operation, before)

    def operation(self, text: str, before: World) -> Operation:
        """Return the operation of one sentence.

        Raises:
            LanguageError: naming the sentence, when it is not in the language, moves the contents
                of an empty box, or moves all objects of a box by their names.
        """
        if match := _ALL.fullmatch(text):
            source, destination = int(match[1]), int(match[2])
            return Operation("move", _contents(source, before, text), source, destination)
        operation = super().operation(text, before)
        if _takes_all(operation, before):
            raise LanguageError(
                f"a move of all objects of Box {operation.source} must be worded as a move of its "
                f"contents: {text!r}"
            )
        return operation

    def named(self, operation: Operation, before: World) -> Contents:
        """Return the objects that the operation's sentence names: none in a move of all."""
        return () if _takes_all(operation, before) else super().named(operation, before)


def _takes_all(operation: Operation, before: World) -> bool:
    source = operation.source
    return (
        operation.kind == "move"
        and source is not None
        and 0 <= source < len(before)
        and operation.objects == before[source]
    )


def _contents(box: int, before: World, text: str) -> Contents:
    objects = before[box] if box < len(before) else ()
    if not objects:
        raise LanguageError(f"Box {box} is empty, so its contents cannot be moved: {text!r}")
    return objects
