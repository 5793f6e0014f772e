"""The world and its rules: which boxes may hold what, and what an operation does."""

from collections.abc import Iterable

from benchmark.errors import RuleError
from benchmark.records import Contents, Kind, Operation, World

BOXES = 7
CAPACITY = 3
KINDS: tuple[Kind, ...] = ("move", "remove", "put")


def contents(objects: Iterable[str]) -> Contents:
    """Return the objects as the contents of a box, in alphabetical order."""
    return tuple(sorted(objects))


def check(world: World) -> World:
    """Return the world if no box is over capacity and no object is in two boxes.

    Raises:
        RuleError: naming the box or the object that breaks the rules.
    """
    if len(world) != BOXES:
        raise RuleError(f"a world has {BOXES} boxes, not {len(world)}")
    seen: set[str] = set()
    for box, objects in enumerate(world):
        _check_capacity(box, objects)
        for name in objects:
            if name in seen:
                raise RuleError(f"the {name} is in two places, the second is Box {box}")
            seen.add(name)
    return world


def apply(world: World, operation: Operation) -> World:
    """Return the world after the operation.

    Raises:
        RuleError: if the operation is impossible in this world.
    """
    _check_form(operation)
    if operation.source is None:
        _check_outside(world, operation.objects)
    else:
        _check_inside(world, operation.source, operation.objects)
    after = apply_unchecked(world, operation)
    if operation.destination is not None:
        _check_capacity(operation.destination, after[operation.destination])
    return after


def apply_unchecked(world: World, operation: Operation) -> World:
    """Return the world after an operation that may break the rules.

    Objects that are not in the source are still added to the destination, and a box that does not
    exist is ignored.
    """
    boxes, objects = list(world), operation.objects
    source, destination = operation.source, operation.destination
    if source is not None and 0 <= source < len(boxes):
        boxes[source] = tuple([name for name in boxes[source] if name not in objects])
    if destination is not None and 0 <= destination < len(boxes):
        boxes[destination] = tuple(sorted(boxes[destination] + objects))
    return tuple(boxes)


def changed(before: World, after: World) -> tuple[int, ...]:
    """Return the boxes whose contents differ between the two worlds."""
    return tuple(box for box in range(BOXES) if before[box] != after[box])


def _check_form(operation: Operation) -> None:
    source, destination = operation.source, operation.destination
    expected = {
        "move": (True, True),
        "remove": (True, False),
        "put": (False, True),
    }[operation.kind]
    if (source is not None, destination is not None) != expected:
        raise RuleError(f"a {operation.kind} from {source} to {destination} does not exist")
    for box in (source, destination):
        if box is not None and not 0 <= box < BOXES:
            raise RuleError(f"there is no Box {box}; boxes are 0 to {BOXES - 1}")
    if source == destination:
        raise RuleError(f"a move must leave Box {source}")
    if not operation.objects:
        raise RuleError(f"a {operation.kind} needs at least one object")
    if len(set(operation.objects)) != len(operation.objects):
        raise RuleError(f"a {operation.kind} names an object twice")


def _check_inside(world: World, box: int, objects: Contents) -> None:
    for name in objects:
        if name not in world[box]:
            raise RuleError(f"the {name} is not in Box {box}")


def _check_outside(world: World, objects: Contents) -> None:
    for box, inside in enumerate(world):
        for name in objects:
            if name in inside:
                raise RuleError(f"the {name} is in Box {box}, not outside")


def _check_capacity(box: int, objects: Contents) -> None:
    if len(objects) > CAPACITY:
        raise RuleError(f"Box {box} would hold {len(objects)} objects; it holds {CAPACITY}")
