"""The rules of the world, compared with a naive model of one place per object."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from benchmark.boxes.states import replay, states
from benchmark.boxes.world import apply, apply_unchecked, changed, check, contents
from benchmark.errors import RuleError
from benchmark.records import Kind, Operation, World

OBJECTS = ("bag", "bell", "car", "coat", "cup", "fan", "hat", "key", "map", "Pen", "pin", "rug")
SOME_OBJECTS = st.lists(st.sampled_from(OBJECTS), max_size=4).map(tuple)
BOX = st.integers(0, 6)
ANY_BOX = st.none() | st.integers(-1, 7)
KIND = st.sampled_from(["move", "remove", "put"])
EMPTY = ((), (), (), (), (), (), ())
WORLD = (("bag", "map"), (), ("bell", "car", "cup"), ("hat",), (), (), ("key",))


class WorldMachine(RuleBasedStateMachine):
    """Compare ``apply`` with a naive model: a dictionary from object to box."""

    def __init__(self) -> None:
        """Start outside all boxes; ``start`` puts objects in."""
        super().__init__()
        self.place: dict[str, int | None] = dict.fromkeys(OBJECTS)
        self.counts: dict[tuple[int, str], int] = {}
        self.initial: World = EMPTY
        self.world: World = EMPTY
        self.done: list[Operation] = []
        self.expected: list[tuple[World, dict[tuple[int, str], int]]] = []

    def inside(self, box: int | None) -> list[str]:
        """Return the objects that the model has in the box, or outside."""
        return sorted(name for name, place in self.place.items() if place == box)

    def picture(self) -> World:
        """Return the model's world in the form of the records."""
        return tuple(tuple(self.inside(box)) for box in range(7))

    def record(self) -> None:
        """Remember what the state after the operations so far must be."""
        self.expected.append((self.picture(), dict(self.counts)))

    @initialize(places=st.lists(st.none() | BOX, min_size=len(OBJECTS), max_size=len(OBJECTS)))
    def start(self, places: list[int | None]) -> None:
        """Put each object into its drawn box if the box has room."""
        for name, box in zip(OBJECTS, places, strict=True):
            if box is not None and len(self.inside(box)) < 3:
                self.place[name] = box
        self.initial = self.world = self.picture()
        self.record()

    @rule(kind=KIND, objects=SOME_OBJECTS, source=ANY_BOX, destination=ANY_BOX)
    def anything(
        self, kind: Kind, objects: tuple[str, ...], source: int | None, destination: int | None
    ) -> None:
        """Try an arbitrary operation, which is usually invalid."""
        self.attempt(Operation(kind, objects, source, destination))

    @precondition(lambda self: any(place is not None for place in self.place.values()))
    @rule(data=st.data(), destination=st.none() | BOX)
    def take(self, data: st.DataObject, destination: int | None) -> None:
        """Try to move or remove objects that are in one box."""
        source = data.draw(st.sampled_from([box for box in range(7) if self.inside(box)]))
        objects = st.lists(st.sampled_from(self.inside(source)), min_size=1, unique=True)
        kind: Kind = "remove" if destination is None else "move"
        self.attempt(Operation(kind, tuple(data.draw(objects)), source, destination))

    @precondition(lambda self: None in self.place.values())
    @rule(data=st.data(), destination=BOX)
    def put(self, data: st.DataObject, destination: int) -> None:
        """Try to put objects that are outside."""
        objects = st.lists(st.sampled_from(self.inside(None)), min_size=1, max_size=4, unique=True)
        self.attempt(Operation("put", tuple(data.draw(objects)), None, destination))

    def attempt(self, operation: Operation) -> None:
        """Apply the operation to both, or check that both refuse it."""
        if self.refuses(operation):
            with pytest.raises(RuleError):
                apply(self.world, operation)
            return
        self.world = apply(self.world, operation)
        for name in operation.objects:
            self.place[name] = operation.destination
        for box in (operation.source, operation.destination):
            if box is not None:
                key = (box, operation.kind)
                self.counts[key] = self.counts.get(key, 0) + 1
        self.done.append(operation)
        self.record()

    def refuses(self, operation: Operation) -> bool:
        """Return whether one of the task's rules forbids the operation."""
        source, destination = operation.source, operation.destination
        requested = {"move": 2, "remove": 1, "put": 1}[operation.kind]
        boxes = [box for box in (source, destination) if box is not None]
        if (
            len(boxes) != requested
            or (operation.kind == "remove" and source is None)
            or (operation.kind == "put" and destination is None)
        ):
            return True
        if any(box not in range(7) for box in boxes) or source == destination:
            return True
        names = operation.objects
        if len(names) == 0 or any(names.count(name) > 1 for name in names):
            return True
        if any(self.place[name] != source for name in names):
            return True
        return destination is not None and len(self.inside(destination)) + len(names) > 3

    @invariant()
    def agrees(self) -> None:
        """Every object is where the model has it, so in one place, and none vanishes."""
        assert self.world == self.picture()
        assert check(self.world) is self.world

    @invariant()
    def tidy(self) -> None:
        """No box holds more than three, and every box's contents are in alphabetical order."""
        assert len(self.world) == 7
        for box in self.world:
            assert len(box) <= 3
            assert list(box) == sorted(set(box))

    def teardown(self) -> None:
        """The states of all operations done have the model's contents and counts of changes."""
        if not self.expected:
            return
        result = list(states(5, self.initial, self.done))
        assert len(result) == len(self.expected)
        for state, (world, counts) in zip(result, self.expected, strict=True):
            assert state.sample_id == 5
            assert tuple(query.gold for query in state.queries) == world
            for box, query in enumerate(state.queries):
                by_kind = tuple(counts.get((box, kind), 0) for kind in ("move", "remove", "put"))
                assert (query.box, query.numops_by_op) == (box, by_kind)
                assert query.numops == sum(by_kind)


TestWorldMachine = WorldMachine.TestCase
TestWorldMachine.settings = settings(max_examples=60, stateful_step_count=30)


def test_move_takes_objects_from_one_box_to_another_in_order() -> None:
    """A move takes the objects out of the source and sorts them into the destination."""
    after = apply(WORLD, Operation("move", ("bag",), 0, 3))
    assert after == (("map",), (), ("bell", "car", "cup"), ("bag", "hat"), (), (), ("key",))


def test_remove_takes_objects_outside() -> None:
    """A removed object is in no box, and can be put back."""
    after = apply(WORLD, Operation("remove", ("bell", "cup"), 2, None))
    assert after[2] == ("car",)
    assert apply(after, Operation("put", ("bell",), None, 1))[1] == ("bell",)


def test_full_box_can_be_left_and_filled_again() -> None:
    """A box may hold exactly three objects."""
    after = apply(WORLD, Operation("put", ("rug", "ant"), None, 3))
    assert after[3] == ("ant", "hat", "rug")


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (Operation("move", ("bag",), 0, None), "a move from 0 to None does not exist"),
        (Operation("remove", ("bag",), 0, 1), "a remove from 0 to 1 does not exist"),
        (Operation("put", ("rug",), 1, 0), "a put from 1 to 0 does not exist"),
        (Operation("put", ("rug",), None, None), "a put from None to None does not exist"),
        (Operation("put", ("rug",), None, 7), "there is no Box 7; boxes are 0 to 6"),
        (Operation("remove", ("rug",), -1, None), "there is no Box -1; boxes are 0 to 6"),
        (Operation("move", ("bag",), 0, 0), "a move must leave Box 0"),
        (Operation("move", (), 0, 1), "a move needs at least one object"),
        (Operation("put", ("rug", "rug"), None, 1), "a put names an object twice"),
        (Operation("move", ("car",), 0, 1), "the car is not in Box 0"),
        (Operation("remove", ("car", "hat"), 2, None), "the hat is not in Box 2"),
        (Operation("put", ("key",), None, 1), "the key is in Box 6, not outside"),
        (Operation("move", ("bag",), 0, 2), "Box 2 would hold 4 objects; it holds 3"),
        (
            Operation("put", ("ant", "pin", "rug"), None, 3),
            "Box 3 would hold 4 objects; it holds 3",
        ),
    ],
)
def test_refused_operation_says_why(operation: Operation, message: str) -> None:
    """The error for an impossible operation names the box or object."""
    with pytest.raises(RuleError) as error:
        apply(WORLD, operation)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("world", "message"),
    [
        (EMPTY[:6], "a world has 7 boxes, not 6"),
        ((*EMPTY, ()), "a world has 7 boxes, not 8"),
        ((("a", "b", "c", "d"), *EMPTY[:6]), "Box 0 would hold 4 objects; it holds 3"),
        (
            (("bag",), ("map",), ("bag",), *EMPTY[:4]),
            "the bag is in two places, the second is Box 2",
        ),
        ((("bag", "bag"), *EMPTY[:6]), "the bag is in two places, the second is Box 0"),
    ],
)
def test_broken_world_says_why(world: World, message: str) -> None:
    """A world that breaks the rules is refused with the box or object named."""
    with pytest.raises(RuleError) as error:
        check(world)
    assert str(error.value) == message


def test_changed_names_the_boxes_that_differ() -> None:
    """Only boxes with other contents than before count as changed."""
    assert changed(WORLD, WORLD) == ()
    assert changed(WORLD, apply(WORLD, Operation("move", ("key",), 6, 1))) == (1, 6)
    assert changed(WORLD, apply(WORLD, Operation("remove", ("car",), 2, None))) == (2,)


def test_contents_are_in_alphabetical_order() -> None:
    """Objects become contents in alphabetical order."""
    assert contents({"map", "bag", "car"}) == ("bag", "car", "map")


def test_replay_names_the_sentence_that_cannot_be_carried_out() -> None:
    """The first impossible operation of a sequence is named in words."""
    possible = Operation("move", ("bag", "map"), 0, 1)
    impossible = Operation("remove", ("bag",), 0, None)
    assert replay(WORLD, [possible])[-1][1] == ("bag", "map")
    with pytest.raises(RuleError) as error:
        replay(WORLD, [possible, impossible, impossible])
    assert str(error.value) == "the bag is not in Box 0: 'Remove the bag from Box 0.'"


@pytest.mark.parametrize(
    ("operation", "boxes"),
    [
        (Operation("move", ("bag",), 0, 3), {0: ("map",), 3: ("bag", "hat")}),
        (Operation("move", ("bag", "map"), 0, 2), {0: (), 2: ("bag", "bell", "car", "cup", "map")}),
        (Operation("move", ("bag",), 0, 0), {}),
        (Operation("move", ("pin",), 3, 1), {1: ("pin",)}),
        (Operation("move", ("bag",), 0, 7), {0: ("map",)}),
        (Operation("move", ("key",), -1, 1), {1: ("key",)}),
        (Operation("remove", ("pin",), 0, None), {}),
        (Operation("put", ("key",), None, 6), {6: ("key", "key")}),
    ],
)
def test_operation_that_is_not_checked(
    operation: Operation, boxes: dict[int, tuple[str, ...]]
) -> None:
    """Without rules, objects that are not in the source also arrive."""
    expected = [boxes.get(box, objects) for box, objects in enumerate(WORLD)]
    assert list(apply_unchecked(WORLD, operation)) == expected
