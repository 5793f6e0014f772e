"""Fixtures of the tests of boxes: a strategy for sequences, and the vocabulary."""

import pytest
from hypothesis import strategies as st

from benchmark.boxes.generator import Sequence
from benchmark.boxes.vocabulary import default_vocabulary
from benchmark.boxes.world import BOXES, CAPACITY
from benchmark.records import Contents, Kind, Operation

RESERVED = frozenset({"the", "and", "nothing"})
WORDS = st.from_regex("[a-zA-Z]{1,8}", fullmatch=True).filter(lambda word: word not in RESERVED)


@st.composite
def sequences(draw: st.DrawFn) -> Sequence:
    """A sequence that is valid by construction: only objects that fit are drawn."""
    names = draw(st.lists(WORDS, max_size=16, unique=True))
    boxes: list[set[str]] = [set() for _ in range(BOXES)]
    for name in names:
        box = draw(st.none() | st.integers(0, BOXES - 1))
        if box is not None and len(boxes[box]) < CAPACITY:
            boxes[box].add(name)
    initial = tuple(tuple(sorted(box)) for box in boxes)
    steps = (_step(draw, boxes, set(names)) for _ in range(draw(st.integers(0, 8))))
    operations = tuple(operation for operation in steps if operation is not None)
    return Sequence(draw(st.integers(0, 5000)), initial, operations)


def _step(draw: st.DrawFn, boxes: list[set[str]], names: set[str]) -> Operation | None:
    """Return an operation, applied to ``boxes``; None if none is possible for the drawn boxes."""
    places: list[int | None] = [None, *range(BOXES)]
    source, destination = draw(st.lists(st.sampled_from(places), min_size=2, max_size=2))
    if source == destination:
        return None
    there = names.difference(*boxes) if source is None else boxes[source]
    room = CAPACITY if destination is None else CAPACITY - len(boxes[destination])
    if not there or not room:
        return None
    moved = draw(st.sets(st.sampled_from(sorted(there)), min_size=1, max_size=room))
    if source is not None:
        boxes[source] -= moved
    if destination is not None:
        boxes[destination] |= moved
    kind: Kind = "put" if source is None else "remove" if destination is None else "move"
    return Operation(kind, tuple(sorted(moved)), source, destination)


st.register_type_strategy(Sequence, sequences())


@pytest.fixture(scope="session")
def vocabulary() -> Contents:
    """The project's own 100 nouns."""
    return default_vocabulary()
