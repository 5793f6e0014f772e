"""From operations to states: what each box holds, and how often it has changed."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from benchmark.boxes.language import parse, sentence, statement
from benchmark.boxes.world import BOXES, KINDS, apply, changed
from benchmark.errors import RuleError
from benchmark.records import Operation, Query, State, World

Changes = tuple[int, int, int]
"""How many operations changed a box, by kind: (move, remove, put)."""


def replay(initial: World, operations: Sequence[Operation]) -> list[World]:
    """The initial world and the world after each operation.

    Raises:
        RuleError: naming the sentence of the first operation that cannot be carried out.
    """
    worlds = [initial]
    for operation in operations:
        try:
            worlds.append(apply(worlds[-1], operation))
        except RuleError as error:
            raise RuleError(f"{error}: {sentence(operation)!r}") from error
    return worlds


def states(sample_id: int, initial: World, operations: Sequence[Operation]) -> Iterator[State]:
    """The states of a sequence: one a prefix, from no operation to all of them."""
    worlds = replay(initial, operations)
    changes: list[Changes] = [(0, 0, 0)] * BOXES
    description = statement(initial)
    yield _state(sample_id, description, initial, changes)
    for operation, (before, after) in zip(operations, pairwise(worlds), strict=True):
        kind = KINDS.index(operation.kind)
        for box in changed(before, after):
            changes[box] = _plus_one(changes[box], kind)
        description = f"{description} {sentence(operation)}"
        yield _state(sample_id, description, after, changes)


def parse_state(sample_id: int, description: str) -> State:
    """The state that a description leads to, with the gold contents worked out anew.

    Raises:
        LanguageError: for a sentence that is not in the language.
        RuleError: for an operation that cannot be carried out.
    """
    *_, last = states(sample_id, *parse(description))
    return last


def _plus_one(changes: Changes, kind: int) -> Changes:
    move, remove, put = (count + (index == kind) for index, count in enumerate(changes))
    return move, remove, put


def _state(sample_id: int, description: str, world: World, changes: Sequence[Changes]) -> State:
    queries = (
        Query(box, objects, sum(changes[box]), changes[box]) for box, objects in enumerate(world)
    )
    return State(sample_id, description, tuple(queries))
