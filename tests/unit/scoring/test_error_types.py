"""Types of error: the documented list and its examples, and a naive second implementation."""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from benchmark.boxes.vocabulary import default_vocabulary
from benchmark.records import Answer, State
from benchmark.scoring.error_types import ERROR_TYPES, RIGHT, are_codes
from benchmark.tasks import DEFAULT, TASKS, Task, task_named

PAGE = (Path(__file__).parents[3] / "docs" / "errors.md").read_text()
BY_NAME = {error.name: error for error in ERROR_TYPES}

every_task = pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))


def documented() -> list[list[str]]:
    """Return the rows of the page's list: name, rule and example."""
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) ?\|$", PAGE, re.MULTILINE)
    return [list(row) for row in rows if row[0] in BY_NAME]


def test_page_has_the_list_in_its_order() -> None:
    """Names and rules are those of the code, in the order of precedence."""
    assert [row[:2] for row in documented()] == [[e.name, e.words] for e in ERROR_TYPES]


def test_examples_of_the_page_have_their_type() -> None:
    """Each example answer about Box 0 of the page's state is of the type of its row."""
    (quoted,) = re.findall(r"^(?:> .*\n)+", PAGE, re.MULTILINE)
    description = " ".join(line.removeprefix("> ") for line in quoted.splitlines())
    task = task_named(DEFAULT)
    state = task.state(description)
    assert state.queries[0].gold == ("coat", "hat")
    right = task.correct_text(state)
    for name, _, example in documented():
        text = right.replace("Box 0 contains the coat and the hat", f"Box 0 contains {example}")
        codes = task.error_codes(task.parse(text), task.history(description))
        assert codes == BY_NAME[name].code + RIGHT * 6, name


def naive_types(task: Task, state: State, box: int, said: frozenset[str] | None) -> Iterator[str]:
    """Yield all types of the answer about a box, by changes that are carried out one by one."""
    gold = set(state.queries[box].gold)
    if said is None:
        yield "no_answer"
        return
    initial, operations = task.operations(state.description)
    changing = [o for o in operations if box in (o.source, o.destination)]
    numbers = list(range(len(changing)))

    def carried_out(chosen: list[int]) -> set[str]:
        inside = set(initial[box])
        for number in chosen:
            names = set(changing[number].objects)
            inside = inside | names if changing[number].destination == box else inside - names
        return inside

    if numbers and said == set(initial[box]):
        yield "initial_contents"
    for ignored in reversed(numbers):
        if said == carried_out([number for number in numbers if number != ignored]):
            operation = changing[ignored]
            way = {"move": "_in" if operation.destination == box else "_out"}
            yield f"missed_{operation.kind}{way.get(operation.kind, '')}"
    if any(said == carried_out(numbers[:length]) for length in numbers):
        yield "earlier_contents"
    once = set(initial[box]).union(*(o.objects for o in changing if o.destination == box))
    yield from naive_object_types(task, state, said, (gold, once))


def naive_object_types(
    task: Task, state: State, said: frozenset[str], own: tuple[set[str], set[str]]
) -> Iterator[str]:
    """Yield the types by single objects; ``own`` are those in the box and those ever in it."""
    gold, once = own
    examples = " ".join(map(str, task.demonstrations.examples))
    described = set(re.findall(r"\w+", state.description))
    if said - described - set(re.findall(r"\w+", examples)):
        yield "never_mentioned"
    if said - described:
        yield "from_examples"
    if said - once:
        yield "other_box"
    parts = (bool(said - gold), bool(gold - said))
    yield {(True, False): "extra_objects", (False, True): "missing_objects"}.get(parts, "mixed")


@every_task
def test_types_are_those_of_a_naive_implementation(task: Task) -> None:
    """Drawn answers, of the box's own past or of all objects, have the first naive type."""
    rng, occurring = np.random.default_rng(7), set[str]()
    for state in islice(task.generate("dev", 1, default_vocabulary()), 260):
        history = task.history(state.description)
        pool = [*sorted(history.mentioned), "plane", "cash", "dragon"]
        answers: list[frozenset[str] | None] = []
        for past in history.boxes:
            near = sorted(past.ever) if rng.random() < 0.7 and past.ever else pool
            size = int(rng.integers(0, min(len(near), 4) + 1))
            drawn = frozenset(map(str, rng.choice(near, size, replace=False)))
            answers.append(None if rng.random() < 0.02 else drawn)
        codes = task.error_codes(Answer(tuple(answers), (None,) * 7), history)
        for box, (code, said) in enumerate(zip(codes, answers, strict=True)):
            if said == frozenset(state.queries[box].gold):
                assert code == RIGHT
                continue
            name = next(naive_types(task, state, box, said))
            assert code == BY_NAME[name].code, (state, box, said, name)
            occurring.add(code)
    assert occurring == {error.code for error in ERROR_TYPES}


@every_task
def test_wrong_queries_are_those_of_the_score(task: Task) -> None:
    """A query has a type exactly if it is wrong by ``set``."""
    for state in islice(task.generate("dev", 2, default_vocabulary()), 39):
        world = task.operations(state.description)[0]
        judged = task.judge(state, f"Statement: {task.language.statement(world)}")
        codes = task.error_codes(judged.answer, task.history(state.description))
        assert [code == RIGHT for code in codes] == list(judged.outcomes["set"].correct)
        assert set(codes) <= {RIGHT, BY_NAME["initial_contents"].code}


def test_codes_are_one_letter_of_their_own() -> None:
    """No two types share a letter, and no other letter is a code."""
    letters = [error.code for error in ERROR_TYPES]
    assert len({RIGHT, *letters}) == 1 + len(letters)
    assert are_codes(["".join(letters), "......."])
    assert are_codes([])
    assert not are_codes([".z"])
