"""What happened to each box of a state: its initial contents, and each change of them.

They are computed from worlds and operations, so they are the same in every wording.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import accumulate, chain
from typing import Literal

from benchmark.records import Kind, Operation, World

Objects = frozenset[str]

ChangeKind = Literal["put", "remove", "move in", "move out"]
"""The kinds of change of one box: a move is one kind for its source, another for its destination.
"""

CHANGE_KINDS: tuple[ChangeKind, ...] = ("put", "remove", "move in", "move out")

ARRIVALS: frozenset[ChangeKind] = frozenset({"put", "move in"})
"""The changes by which objects come into the box."""

LastOperation = Literal[
    "none", "put", "remove", "move in", "move out",
    "put elsewhere", "remove elsewhere", "move elsewhere",
]  # fmt: skip
"""The last operation of a state as one box sees it: its change of the box, or that of others."""

LAST_OPERATIONS: tuple[LastOperation, ...] = (
    "none", "put", "remove", "move in", "move out",
    "put elsewhere", "remove elsewhere", "move elsewhere",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one box: its kind, and the objects that came or left."""

    kind: ChangeKind
    objects: Objects

    def applied(self, contents: Objects) -> Objects:
        """Return the contents after the change."""
        if self.kind in ARRIVALS:
            return contents | self.objects
        return contents - self.objects


@dataclass(frozen=True)
class BoxHistory:
    """A box from its initial contents on, with its changes in order.

    There are as many changes as the query's numops. ``last`` is the last operation of the state as
    the box sees it.
    """

    initial: Objects
    changes: tuple[Change, ...]
    last: LastOperation

    @cached_property
    def stages(self) -> tuple[Objects, ...]:
        """The contents before the first change and after each one; the last are the gold ones."""
        return tuple(accumulate(self.changes, _apply, initial=self.initial))

    @cached_property
    def ever(self) -> Objects:
        """The objects that are or were in the box."""
        return self.initial.union(*(change.objects for change in self.changes))

    @property
    def last_change(self) -> ChangeKind | Literal["none"]:
        """The kind of the last change; ``none`` without changes."""
        return self.changes[-1].kind if self.changes else "none"

    def without(self, ignored: int) -> Objects:
        """Return what the box would hold if the change at this index had been ignored."""
        carried_out = (*self.changes[:ignored], *self.changes[ignored + 1 :])
        return reduce(_apply, carried_out, self.initial)


@dataclass(frozen=True, slots=True)
class StateHistory:
    """The history of every box of a state, and all objects that its description is about."""

    boxes: tuple[BoxHistory, ...]
    mentioned: Objects


def state_history(initial: World, operations: Sequence[Operation]) -> StateHistory:
    """Return the history of every box.

    An operation on objects that are not in its box changes nothing there. Whether the operations
    can be carried out is checked where states are made, see :mod:`benchmark.boxes.states`.
    """
    boxes = [_Box(frozenset(objects)) for objects in initial]
    last: list[Change | None] = [None] * len(boxes)
    for operation in operations:
        last = [None] * len(boxes)
        for box, change in _changes(operation):
            last[box] = boxes[box].change(change)
    named = chain(chain.from_iterable(initial), *(operation.objects for operation in operations))
    end = operations[-1] if operations else None
    histories = (
        BoxHistory(box.initial, tuple(box.changes), _last(end, change))
        for box, change in zip(boxes, last, strict=True)
    )
    return StateHistory(tuple(histories), frozenset(named))


class _Box:
    """A box while operations are carried out."""

    def __init__(self, initial: Objects) -> None:
        self.initial = self.contents = initial
        self.changes: list[Change] = []

    def change(self, change: Change) -> Change | None:
        """Carry out the part of a change that is possible and return it; None if there is none."""
        inside = change.objects & self.contents
        possible = change.objects - inside if change.kind in ARRIVALS else inside
        if not possible:
            return None
        self.changes.append(Change(change.kind, possible))
        self.contents = self.changes[-1].applied(self.contents)
        return self.changes[-1]


def _changes(operation: Operation) -> Iterator[tuple[int, Change]]:
    """Yield the boxes of an operation, and what it changes there."""
    objects, moved = frozenset(operation.objects), operation.kind == "move"
    if operation.source is not None:
        yield operation.source, Change("move out" if moved else "remove", objects)
    if operation.destination is not None:
        yield operation.destination, Change("move in" if moved else "put", objects)


def _last(operation: Operation | None, change: Change | None) -> LastOperation:
    if operation is None:
        return "none"
    return change.kind if change else _ELSEWHERE[operation.kind]


_ELSEWHERE: Mapping[Kind, LastOperation] = {
    "put": "put elsewhere",
    "remove": "remove elsewhere",
    "move": "move elsewhere",
}


def _apply(contents: Objects, change: Change) -> Objects:
    return change.applied(contents)
