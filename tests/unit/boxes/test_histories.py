"""The history of each box, compared with worlds that are simulated from the sentences."""

import re
from collections.abc import Iterator
from itertools import islice

import pytest

from benchmark.boxes.histories import Change, state_history
from benchmark.boxes.vocabulary import default_vocabulary
from benchmark.records import Operation, State
from benchmark.tasks import TASKS, Task

every_task = pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))


def sampled(task: Task) -> list[State]:
    """Return states of all lengths, those of twenty sequences."""
    return list(islice(task.generate("dev", 3, default_vocabulary()), 260))


def events(description: str) -> Iterator[tuple[str, set[str], list[int]]]:
    """Yield verb, named objects and boxes of each sentence after the first."""
    for sentence in re.findall(r"[^.]+\.", description)[1:]:
        named = set(re.findall(r"the (\w+)", sentence.replace("the contents of", "")))
        boxes = [int(number) for number in re.findall(r"Box (\d)", sentence)]
        yield sentence.split()[0].lower(), named, boxes


def simulated(description: str, box: int, ignored: int = -1) -> tuple[list[set[str]], list[str]]:
    """Return the contents of a box after each of its changes, and the kinds of the changes.

    A change of the box with the number ``ignored`` does not happen in this box; elsewhere all do.
    """
    first = re.findall(r"[^.]+\.", description)[0]
    world = [set(re.findall(r"the (\w+)", clause)) for clause in first.split(",")]
    mine, stages, kinds = set(world[box]), [set(world[box])], list[str]()
    for verb, named, boxes in events(description):
        moved = named or set(world[boxes[0]])
        if verb != "put":
            world[boxes[0]] -= moved
        if verb != "remove":
            world[boxes[-1]] |= moved
        if box not in boxes:
            continue
        arrives = verb == "put" or (verb == "move" and boxes[1] == box)
        if len(kinds) != ignored:
            mine = mine | moved if arrives else mine - moved
        stages.append(set(mine))
        kinds.append({"move": "move in" if arrives else "move out"}.get(verb, verb))
    return stages, kinds


@every_task
def test_history_is_that_of_a_naive_simulation(task: Task) -> None:
    """Contents, kinds, the last change, and the box without each change agree."""
    for state in sampled(task):
        history = task.history(state.description)
        for query, box in zip(state.queries, history.boxes, strict=True):
            stages, kinds = simulated(state.description, query.box)
            assert [set(stage) for stage in box.stages] == stages
            assert [change.kind for change in box.changes] == kinds
            assert len(kinds) == query.numops
            assert box.last_change == (kinds[-1] if kinds else "none")
            assert box.ever == set().union(*stages)
            for number in range(query.numops):
                assert box.without(number) == simulated(state.description, query.box, number)[0][-1]


@every_task
def test_last_operation_of_a_box(task: Task) -> None:
    """It is the kind of its change in the last sentence, or the verb with "elsewhere"."""
    for state in sampled(task):
        sentences = list(events(state.description))
        for query, box in zip(state.queries, task.history(state.description).boxes, strict=True):
            if not sentences:
                assert box.last == "none"
                continue
            verb, _, boxes = sentences[-1]
            inside = simulated(state.description, query.box)[1][-1:]
            assert box.last == (inside[0] if query.box in boxes else f"{verb} elsewhere")


@every_task
def test_mentioned_objects_are_those_of_the_text(task: Task) -> None:
    """They are the words after "the", except "the contents"."""
    for state in sampled(task):
        words = re.findall(r"the (\w+)", state.description.replace("the contents of", ""))
        assert task.history(state.description).mentioned == set(words)


def test_operation_on_an_absent_object_changes_nothing() -> None:
    """A removal of an object that is not there is no change, and does not count."""
    world = (("bag",), *((),) * 6)
    operations = [Operation("remove", ("map",), 0, None), Operation("put", ("bag",), None, 0)]
    history = state_history(world, operations)
    assert history.boxes[0].changes == ()
    assert history.boxes[0].last == "put elsewhere"
    assert history.mentioned == {"bag", "map"}
    operations.append(Operation("remove", ("bag", "map"), 0, None))
    assert state_history(world, operations).boxes[0].changes == (
        Change("remove", frozenset({"bag"})),
    )
