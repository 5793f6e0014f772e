"""Every task: its wording, its data, its prompt, its scores and its random baseline.

The independent reading of a description is :func:`simulated`: regular expressions on the
sentences, without the project's code.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, islice
from math import comb, sqrt
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
import pyzipper
from hypothesis import given
from hypothesis import strategies as st

from benchmark.boxes.archive import MEMBER
from benchmark.boxes.baseline import expectation, readings
from benchmark.boxes.generator import Sequence, initial_world, operations
from benchmark.boxes.language import Language, describe
from benchmark.boxes.portable_random import PortableRandom
from benchmark.boxes.states import replay, states
from benchmark.boxes.vocabulary import default_vocabulary
from benchmark.boxes.world import BOXES
from benchmark.errors import DataError, LanguageError, RuleError, SettingError
from benchmark.prompts.settings import PromptSettings, variants
from benchmark.records import Operation, State, World
from benchmark.scoring.parsing import parse_answer
from benchmark.tasks import DEFAULT, TASKS, Task, task_named
from fakes.drawn_baseline import is_right, predict
from fakes.fake_tokenizer import FakeTokenizer

every_task = pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
STANDARD, MOVE_CONTENTS = TASKS["boxes"], TASKS["move-contents"]
LEVEL = 1e-4

FIRST = (
    "Box 0 contains the bag and the map, Box 1 contains nothing, Box 2 contains the coat, "
    "Box 3 contains the hat and the key, Box 4 contains nothing, Box 5 contains nothing, "
    "Box 6 contains the car."
)


def simulated(description: str) -> tuple[list[set[str]], list[Counter[str]], list[set[str]]]:
    """Return the contents, the changes by kind and the objects mentioned, box by box."""
    initial, *sentences = re.findall(r"[^.]+\.", description)
    boxes = [set(re.findall(r"the (\w+)", clause)) for clause in initial.split(",")]
    mentioned = [set(box) for box in boxes]
    changes: list[Counter[str]] = [Counter() for _ in boxes]
    for sentence in sentences:
        verb = re.findall(r"\w+", sentence)[0].lower()
        numbers = [int(number) for number in re.findall(r"Box (\d)", sentence)]
        written = set(re.findall(r"the (\w+)", sentence.replace("the contents of", "")))
        what = written or set(boxes[numbers[0]])
        if verb != "put":
            boxes[numbers[0]] -= what
        if verb != "remove":
            boxes[numbers[-1]] |= what
        for box in numbers:
            changes[box][verb] += 1
            mentioned[box] |= written
    return boxes, changes, mentioned


def solved(description: str) -> str:
    """Return the answer of the simulation."""
    boxes, _, _ = simulated(description)
    clauses = [
        f"Box {box} contains {' and '.join(f'the {name}' for name in sorted(names)) or 'nothing'}"
        for box, names in enumerate(boxes)
    ]
    return f"Statement: {', '.join(clauses)}."


def drawn(seed: int) -> Iterator[Sequence]:
    """Yield sequences of any signature forever, drawn like those of the dataset."""
    draws, vocabulary = (
        PortableRandom(np.random.Generator(np.random.PCG64(seed))),
        default_vocabulary(),
    )
    while True:
        initial = initial_world(draws, vocabulary)
        yield Sequence(0, initial, operations(draws, vocabulary, initial))


def some_states(task: Task, sequences: int, seed: int = 5) -> list[State]:
    """Return all states of some sequences."""
    return [
        state
        for entry in islice(drawn(seed), sequences)
        for state in states(entry.sample_id, entry.initial, entry.operations, task.language)
    ]


# Wording


@every_task
@given(seed=st.integers(0, 2**32), length=st.integers(0, 12))
def test_parsing_is_the_inverse_of_describing(task: Task, seed: int, length: int) -> None:
    """Parsing inverts describing, and replay leads to the state's contents."""
    sequence = next(drawn(seed))
    operations_ = sequence.operations[:length]
    text = describe(sequence.initial, operations_, task.language)
    assert task.operations(text) == (sequence.initial, operations_)
    *_, expected = states(3, sequence.initial, operations_, task.language)
    assert task.state(text, 3) == expected
    world = replay(sequence.initial, operations_)[-1]
    assert tuple(query.gold for query in expected.queries) == world


@every_task
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_changed_description_is_refused_or_says_another_thing(
    task: Task, data: st.DataObject, seed: int
) -> None:
    """A description with an edited sentence is refused, or describes exactly its text."""
    sequence = next(drawn(seed))
    text = describe(sequence.initial, sequence.operations, task.language)
    first, *rest = re.findall(r"[^ ][^.]*\.", text)
    sentences = data.draw(st.lists(st.sampled_from(rest), min_size=1, max_size=8))
    if data.draw(st.booleans()):
        which = data.draw(st.integers(0, len(sentences) - 1))
        place = data.draw(st.integers(0, len(sentences[which]) - 2))
        character = data.draw(st.sampled_from(["", *"abcf 0126,X"]))
        sentences[which] = sentences[which][:place] + character + sentences[which][place + 1 :]
    changed = " ".join([first, *sentences])
    refusal = None
    try:
        meaning = task.operations(changed)
    except LanguageError as error:
        refusal = str(error)
    else:
        assert describe(*meaning, task.language) == changed
    assert refusal is None or any(refusal.endswith(f": {sentence!r}") for sentence in sentences)


@every_task
def test_gold_agrees_with_an_independent_simulation(task: Task) -> None:
    """Contents and numops of 520 states are those of the naive simulation."""
    every = some_states(task, 40)
    assert len(every) == 520
    for state in every:
        boxes, changes, _ = simulated(state.description)
        assert [set(query.gold) for query in state.queries] == boxes
        assert [query.numops for query in state.queries] == [entry.total() for entry in changes]
        assert [query.numops_by_op for query in state.queries] == [
            (entry["move"], entry["remove"], entry["put"]) for entry in changes
        ]


@pytest.mark.parametrize(
    ("task", "wrong", "reason"),
    [
        (STANDARD, "Move the contents of Box 0 to Box 1.", "not a sentence of the boxes task"),
        (MOVE_CONTENTS, "Move the bag and the map from Box 0 to Box 1.", "all objects of Box 0"),
        (MOVE_CONTENTS, "Move the coat from Box 2 to Box 1.", "all objects of Box 2"),
        (MOVE_CONTENTS, "Move the contents of Box 1 to Box 0.", "Box 1 is empty"),
        (MOVE_CONTENTS, "Move the contents of Box 9 to Box 0.", "Box 9 is empty"),
        (MOVE_CONTENTS, "Move the contents of Box 0 into Box 1.", "not a sentence"),
        (MOVE_CONTENTS, "Move the contents of Box 0 to Box 1", "not a sentence"),
        (MOVE_CONTENTS, "Remove the contents of Box 0.", "not a sentence"),
        (MOVE_CONTENTS, "Put the contents of Box 0 into Box 1.", "not a sentence"),
    ],
)
def test_sentence_that_the_task_does_not_write_is_named(
    task: Task, wrong: str, reason: str
) -> None:
    """A sentence that is not in the task's language is an error that quotes it."""
    for text in (f"{FIRST} {wrong}", f"{FIRST} Put the pin into Box 6. {wrong}"):
        with pytest.raises(LanguageError) as error:
            task.state(text)
        assert reason in str(error.value)
        assert str(error.value).endswith(f": {wrong!r}")


def test_what_the_contents_are_depends_on_what_came_before() -> None:
    """A move of the contents takes the contents at that point of the description."""
    text = f"{FIRST} Move the bag from Box 0 to Box 2. Move the map from Box 0 to Box 1."
    with pytest.raises(LanguageError, match="all objects of Box 0"):
        MOVE_CONTENTS.state(text)
    text = text.replace("the map from", "the contents of")
    _, (first, second) = MOVE_CONTENTS.operations(text)
    assert first == Operation("move", ("bag",), 0, 2)
    assert second == Operation("move", ("map",), 0, 1)
    golds = [query.gold for query in MOVE_CONTENTS.state(text).queries]
    assert golds[:3] == [(), ("map",), ("bag", "coat")]


@pytest.mark.parametrize(
    ("sentences", "message"),
    [
        ("Move the contents of Box 0 to Box 3.", "Box 3 would hold 4 objects"),
        ("Move the contents of Box 0 to Box 0.", "a move must leave Box 0"),
        ("Move the contents of Box 0 to Box 8.", "there is no Box 8"),
    ],
)
def test_move_of_the_contents_against_the_rules_is_named(sentences: str, message: str) -> None:
    """A sentence can be in the language and still break the rules of its world."""
    with pytest.raises(RuleError, match=message) as error:
        MOVE_CONTENTS.state(f"{FIRST} {sentences}")
    assert str(error.value).endswith(f": {sentences!r}")


# Data


@every_task
def test_generated_data_is_the_same_again_and_is_read_back(task: Task, tmp_path: Path) -> None:
    """The same seed yields the same lines, and a file of them the same states."""
    datasets = [
        list(islice(task.generate("dev", seed, default_vocabulary()), 26)) for seed in (1, 1, 2)
    ]
    assert datasets[0] == datasets[1] != datasets[2]
    lines = [f"{row}\n" for state in datasets[0] for row in task.rows(state)]
    assert len(lines) == 26 * BOXES
    path = tmp_path / "dev.jsonl"
    path.write_text("".join(lines), encoding="utf-8")
    assert list(task.read(path)) == datasets[0]
    json.loads(lines[0])


def test_tasks_of_one_seed_differ_in_wording_alone() -> None:
    """Worlds, operations and numops are the same; only moves of all objects read differently."""
    vocabulary = default_vocabulary()
    pairs = zip(
        islice(STANDARD.generate("dev", 0, vocabulary), 1300),
        islice(MOVE_CONTENTS.generate("dev", 0, vocabulary), 1300),
        strict=True,
    )
    different = 0
    for standard, other in pairs:
        assert replace(standard, description="") == replace(other, description="")
        assert STANDARD.operations(standard.description) == MOVE_CONTENTS.operations(
            other.description
        )
        different += standard.description != other.description
    assert 0 < different < 1300


def test_moves_of_all_objects_are_worded_so_as_often_as_expected() -> None:
    """Exactly the moves of all objects name none, and their number is as expected.

    A move takes a random subset that is not empty: all of 1, 2 or 3 objects with probability 1,
    1/3 or 1/7. That alone would give 52 % of the moves here. The true chance is lower, since a
    move into a box without room is drawn again, and full moves take more room: the 300 sequences
    have 503 full moves of 1,078, and 510 are expected (normal approximation given the worlds,
    two-sided, level 1e-4, fixed seed).
    """
    full, moves, naive, expected, variance = 0, 0, 0.0, 0.0, 0.0
    for sequence in islice(drawn(11), 300):
        text = describe(sequence.initial, sequence.operations, MOVE_CONTENTS.language)
        sentences = re.findall(r"[^ ][^.]*\.", text)[1:]
        worlds = replay(sequence.initial, sequence.operations)[:-1]
        for operation, sentence, world in zip(sequence.operations, sentences, worlds, strict=True):
            moved = operation.kind == "move" and operation.objects == world[operation.source or 0]
            assert (" the contents of " in sentence) is moved
            if operation.kind == "move":
                chance = full_chance([len(objects) for objects in world])
                full, moves = full + moved, moves + 1
                naive += 1 / (2 ** len(world[operation.source or 0]) - 1)
                expected, variance = expected + chance, variance + chance * (1 - chance)
    assert (full, moves, round(expected), round(100 * naive / moves)) == (503, 1078, 510, 52)
    assert abs(full - expected) < NormalDist().inv_cdf(1 - LEVEL / 2) * sqrt(variance)


def full_chance(sizes: list[int]) -> float:
    """Return the probability that a move in such a world takes all objects of its box."""
    every = complete = 0.0
    for source, size in enumerate(sizes):
        others = sizes[:source] + sizes[source + 1 :]
        for number in range(1, size + 1):
            fitting = sum(other + number <= 3 for other in others)
            weight = fitting * comb(size, number) / (2**size - 1)
            every += weight
            complete += weight if number == size else 0
    return complete / every


@every_task
def test_the_authors_archive_is_read_where_the_task_is_in_it(task: Task, tmp_path: Path) -> None:
    """The standard states are read from the ZIP; a task without a place in it is refused."""
    states = some_states(task, 1)
    path = tmp_path / "boxes.ZIP"
    with pyzipper.AESZipFile(path, "w", encryption=pyzipper.WZ_AES) as archive:
        archive.setpassword(b"sesame")
        archive.writestr(f"data/{MEMBER}", "\n".join(chain.from_iterable(map(task.rows, states))))
    if task.archive_member is None:
        with pytest.raises(
            SettingError, match=f"{task.name} has no known place in the authors' ZIP"
        ):
            task.read(path, "sesame")
    else:
        assert list(task.read(path, "sesame")) == states
        with pytest.raises(DataError, match="wrong password"):
            list(task.read(path, "open"))


# Prompts


@every_task
def test_demonstrations_are_in_the_language_and_right(task: Task) -> None:
    """The task's own parser accepts each example, and its statement is correct."""
    assert len(task.demonstrations.examples) == 2
    for description, statement in task.demonstrations.examples:
        text = f"Statement: {statement}"
        assert text == task.correct_text(task.state(description)) == solved(description)


@every_task
@pytest.mark.parametrize("variant", variants())
def test_prompt_has_the_tasks_own_demonstrations(task: Task, variant: str) -> None:
    """A prompt begins with the instruction and the task's examples, and ends with the query."""
    text = task.completion(FIRST, variant)
    own = task.demonstrations
    places = [text.index(part) for part in (own.instruction, *chain(*own.examples))]
    assert places == sorted(places)
    assert text.rstrip().endswith(f"Description: {FIRST}")


def test_prompt_of_move_contents_shows_what_is_different() -> None:
    """Apart from one move of the contents, the examples are the paper's, in both formats."""
    moved = "Move the contents of Box 6 to Box 3."
    tokenizer = FakeTokenizer(
        template=lambda messages: "\n".join(message.content for message in messages)
    )
    for settings in (PromptSettings(), PromptSettings(prompt_format="chat")):
        text = MOVE_CONTENTS.prompt(tokenizer, FIRST, settings).text
        standard = STANDARD.prompt(tokenizer, FIRST, settings).text
        assert text.count(moved) == 1
        assert moved not in standard
        changed = text.replace(moved, "Put the coat into Box 3.")
        changed = changed.replace("Box 3 contains the bottle,", "Box 3 contains the coat,")
        changed = changed.replace("Box 6 contains nothing.", "Box 6 contains the bottle.")
        assert changed == standard


# Answers


@every_task
def test_a_solver_is_right_by_every_score_and_a_copier_is_not(task: Task) -> None:
    """The simulation's answer scores 100 %; the initial state is wrong for changed boxes."""
    wrong = 0
    for state in some_states(task, 10, seed=6):
        text = solved(state.description)
        assert text == task.correct_text(state)
        judged = task.judge(state, text)
        assert (judged.text, judged.answer) == (text, task.parse(text))
        assert set(judged.outcomes) == set(task.scores)
        initial = state.description.split(". ")[0]
        before, now = simulated(f"{initial}.")[0], simulated(state.description)[0]
        copied = task.judge(state, solved(f"{initial}."))
        for by, outcome in judged.outcomes.items():
            assert outcome.correct == (True,) * BOXES
            assert outcome.numops == tuple(query.numops for query in state.queries)
            same = tuple(old == new for old, new in zip(before, now, strict=True))
            assert copied.outcomes[by].correct == same
            wrong += same.count(False)
    assert wrong > 100


@every_task
def test_objects_in_another_order_are_right_by_set_alone(task: Task) -> None:
    """The two scores differ in the treatment of order."""
    text = f"Statement: {FIRST}"
    swapped = text.replace("the bag and the map", "the map and the bag")
    outcomes = task.judge(task.state(FIRST), swapped).outcomes
    assert all(outcomes["set"].correct)
    assert outcomes["exact"].correct == (False, *[True] * (BOXES - 1))


@every_task
def test_correct_answers_match_the_expression(task: Task) -> None:
    """The correct answer keeps the format; without its last box it does not."""
    for state in some_states(task, 3, seed=7):
        text = task.correct_text(state)
        assert re.fullmatch(task.expression, text)
        assert task.keeps_format(f" {text} And so on.")
        assert not task.keeps_format(text.replace(", Box 3", ", Box 4"))


# The random baseline


@every_task
def test_baseline_draws_from_the_objects_that_the_text_names(task: Task) -> None:
    """The pool of a box has exactly the objects that clauses about it name."""
    outside = 0
    for state in some_states(task, 30, seed=8):
        _, _, mentioned = simulated(state.description)
        assert [set(pool) for pool in task.mentions(state)] == mentioned
        outside += sum(
            not set(query.gold) <= pool
            for query, pool in zip(state.queries, mentioned, strict=True)
        )
    assert bool(outside) is (task is MOVE_CONTENTS)


def test_moved_contents_are_in_no_pool() -> None:
    """A clause without names adds no objects, so such gold has probability 0."""
    state = MOVE_CONTENTS.state(f"{FIRST} Move the contents of Box 0 to Box 1.")
    assert MOVE_CONTENTS.mentions(state)[:2] == (("bag", "map"), ())
    assert state.queries[1].gold == ("bag", "map")
    assert all(
        expectation(reading, (), state.queries[1].gold) == 0 for reading in readings().values()
    )
    # Of the other boxes 3 are empty at first and stay so, one has two objects, two have one each.
    # Box 0 is emptied: nothing is drawn with probability 1/4.
    exact = MOVE_CONTENTS.baselines([state])["exact"]
    assert exact["by_numops"]["1"] == pytest.approx(100 * (1 / 4 + 0) / 2)
    assert exact["by_numops"]["0"] == pytest.approx(100 * (2 + 2 * 3 / 4 + 1 / 4) / 5)


@every_task
@pytest.mark.parametrize("name", readings())
def test_baseline_agrees_with_a_simulation(task: Task, name: str) -> None:
    """Predictions from the naive pools are right as often as expected (level 1e-4, fixed seed)."""
    states = some_states(task, 40, seed=9)[::13] + some_states(task, 40, seed=9)[12::13]
    source, reading, repeats = (
        PortableRandom(np.random.Generator(np.random.PCG64(79))),
        readings()[name],
        60,
    )
    variance, hits = 0.0, 0
    for state in states:
        for query, pool in zip(state.queries, task.mentions(state), strict=True):
            p = float(expectation(reading, pool, query.gold))
            variance += repeats * p * (1 - p)
            hits += sum(
                is_right(reading, predict(reading, source, pool), query.gold)
                for _ in range(repeats)
            )
    queries = repeats * BOXES * len(states)
    expected = (task.baselines(states)[name]["overall"] or 0) / 100 * queries
    assert abs(hits - expected) < NormalDist().inv_cdf(1 - LEVEL / 2) * sqrt(variance)


# A user's own variant


class Lettered(Language):
    """Boxes are containers with letters, and every sentence says so."""

    def opening(self, box: int) -> str:
        """Return the words of a query before the contents."""
        return _lettered(super().opening(box))

    def statement(self, world: World) -> str:
        """Return the contents of all boxes in one sentence."""
        return _lettered(super().statement(world))

    def introduction(self, initial: World) -> str:
        """Return the first sentence of a description."""
        return "At first " + _lettered(super().introduction(initial))

    def initial(self, text: str) -> World:
        """Return the initial world of a description's first sentence."""
        return super().initial(_numbered(text.removeprefix("At first ")))

    def sentence(self, operation: Operation, before: World) -> str:
        """Return an operation in one sentence."""
        return _lettered(super().sentence(operation, before))

    def operation(self, text: str, before: World) -> Operation:
        """Return the operation of one sentence."""
        return super().operation(_numbered(text), before)


def _lettered(text: str) -> str:
    return re.sub(r"Box (\d)", lambda match: f"Container {'ABCDEFG'[int(match[1])]}", text)


def _numbered(text: str) -> str:
    return re.sub("Container ([A-G])", lambda match: f"Box {'ABCDEFG'.index(match[1])}", text)


def test_a_variant_with_other_answers_is_a_subclass_and_a_row(tmp_path: Path) -> None:
    """Data, correct answers, format and scores all use the wording of the variant."""
    task = replace(
        STANDARD,
        name="lettered",
        language=Lettered(),
        expression=_lettered(STANDARD.expression),
        answer_parser=lambda text, boxes: parse_answer(_numbered(text), boxes),
    )
    states = some_states(task, 3)
    lines = [f"{row}\n" for state in states for row in task.rows(state)]
    path = tmp_path / "lettered.jsonl"
    path.write_text("".join(lines), encoding="utf-8")
    assert list(task.read(path)) == states
    for state, standard in zip(states, some_states(STANDARD, 3), strict=True):
        assert state.description == "At first " + _lettered(standard.description)
        assert state.queries == standard.queries
        text = task.correct_text(state)
        assert text == _lettered(STANDARD.correct_text(standard))
        assert task.keeps_format(text)
        assert not task.keeps_format(_numbered(text))
        assert all(all(outcome.correct) for outcome in task.judge(state, text).outcomes.values())
        assert task.mentions(state) == STANDARD.mentions(standard)
    assert not any("Box" in line for line in lines)


# The table


def test_the_table_of_tasks() -> None:
    """The paper's task comes first, and the error for an unknown task lists all."""
    assert next(iter(TASKS)) == DEFAULT == "boxes"
    assert all(task_named(name).name == name and task.what for name, task in TASKS.items())
    with pytest.raises(
        SettingError, match=f"unknown task 'move'; choose one of {', '.join(TASKS)}"
    ):
        task_named("move")
