"""From operations to states: the contents of each box, and how often it has changed."""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import pairwise

from benchmark.boxes.language import STANDARD, Language, parse
from benchmark.boxes.world import BOXES, KINDS, apply, changed
from benchmark.errors import RuleError
from benchmark.records import Operation, Query, State, World

Changes = tuple[int, int, int]
"""How many operations changed a box, by kind: (move, remove, put)."""


def replay(
    initial: World, operations: Sequence[Operation], language: Language = STANDARD
) -> list[World]:
    """Return the initial world and the world after each operation.

    Raises:
        RuleError: naming the sentence of the first operation that cannot be carried out.
    """
    worlds = [initial]
    for operation in operations:
        try:
            worlds.append(apply(worlds[-1], operation))
        except RuleError as error:
            raise RuleError(f"{error}: {language.sentence(operation, worlds[-1])!r}") from error
    return worlds


def states(
    sample_id: int,
    initial: World,
    operations: Sequence[Operation],
    language: Language = STANDARD,
) -> Iterator[State]:
    """Return the states of a sequence: one per prefix, from no operation to all of them.

    Raises:
        RuleError: as :func:`replay`.
    """
    for prefix in _prefixes(initial, operations, language):
        yield _state(sample_id, *prefix)


def parse_state(sample_id: int, description: str, language: Language = STANDARD) -> State:
    """Return the state that a description leads to, with its gold contents.

    Raises:
        LanguageError: for a sentence that is not in the language.
        RuleError: for an operation that cannot be carried out.
    """
    initial, operations = parse(description, language)
    *_, last = _prefixes(initial, operations, language)
    return _state(sample_id, *last)


def _prefixes(
    initial: World, operations: Sequence[Operation], language: Language
) -> Iterator[tuple[str, World, list[Changes]]]:
    """Yield description, world and changes before the first operation and after each one."""
    worlds = replay(initial, operations, language)
    changes: list[Changes] = [(0, 0, 0)] * BOXES
    description = language.introduction(initial)
    yield description, initial, changes
    for operation, (before, after) in zip(operations, pairwise(worlds), strict=True):
        kind = KINDS.index(operation.kind)
        for box in changed(before, after):
            changes[box] = _plus_one(changes[box], kind)
        description = f"{description} {language.sentence(operation, before)}"
        yield description, after, changes


def _plus_one(changes: Changes, kind: int) -> Changes:
    move, remove, put = (count + (index == kind) for index, count in enumerate(changes))
    return move, remove, put


def _state(sample_id: int, description: str, world: World, changes: Sequence[Changes]) -> State:
    queries = (
        Query(box, objects, sum(changes[box]), changes[box]) for box, objects in enumerate(world)
    )
    return State(sample_id, description, tuple(queries))


def state_id(description: str) -> str:
    """Return the identifier of a state in links, the same in every report."""
    return hashlib.sha256(description.encode()).hexdigest()[:10]
