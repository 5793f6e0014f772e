"""Writing and parsing worlds and operations."""

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from benchmark.boxes.generator import Sequence
from benchmark.boxes.language import (
    clause,
    describe,
    items,
    parse,
    parse_statement,
    sentence,
    statement,
)
from benchmark.boxes.states import parse_state, replay, states
from benchmark.errors import LanguageError, RuleError
from benchmark.records import Operation, World

WORLD: World = (("bag", "map"), (), ("coat",), ("a", "b", "c"), (), ("hat", "key"), ("car",))
STATEMENT = (
    "Box 0 contains the bag and the map, Box 1 contains nothing, Box 2 contains the coat, "
    "Box 3 contains the a and the b and the c, Box 4 contains nothing, "
    "Box 5 contains the hat and the key, Box 6 contains the car."
)
MOVE = "Move the bag and the map from Box 0 to Box 2."
REMOVE = "Remove the car from Box 6."
PUT = "Put the coat into Box 3."
CHARACTERS = string.ascii_letters + string.digits + " ,;'-_\n\t"
FRAGMENTS = st.lists(
    st.sampled_from([STATEMENT, MOVE, REMOVE, PUT, " ", ". ", ".", "Box 0", " and the "])
    | st.text(max_size=5)
).map("".join)


@given(sequence=st.from_type(Sequence))
def test_parse_is_the_inverse_of_describe(sequence: Sequence) -> None:
    """A description parses to the very world and operations that it was written from."""
    text = describe(sequence.initial, sequence.operations)
    assert parse(text) == (sequence.initial, sequence.operations)


@given(sequence=st.from_type(Sequence))
def test_parse_statement_is_the_inverse_of_statement(sequence: Sequence) -> None:
    """The world after the operations can be read back from its statement."""
    world = replay(sequence.initial, sequence.operations)[-1]
    assert parse_statement(statement(world)) == world


@given(sequence=st.from_type(Sequence))
def test_parse_state_gives_back_every_state(sequence: Sequence) -> None:
    """A state follows from its own description, contents and numops included."""
    for state in states(sequence.sample_id, sequence.initial, sequence.operations):
        assert parse_state(sequence.sample_id, state.description) == state


@given(sequence=st.from_type(Sequence))
def test_description_is_one_sentence_and_one_an_operation(sequence: Sequence) -> None:
    """The statement and the sentences are joined with one space and nothing else."""
    text = describe(sequence.initial, sequence.operations)
    assert text == " ".join([statement(sequence.initial), *map(sentence, sequence.operations)])
    assert text.count(".") == 1 + len(sequence.operations)
    assert "  " not in text


@given(sequence=st.from_type(Sequence), data=st.data())
def test_changed_sentence_is_named_or_is_another_sentence(
    sequence: Sequence, data: st.DataObject
) -> None:
    """A sentence with one edited character is an error, or has another meaning."""
    sentences = [statement(sequence.initial), *map(sentence, sequence.operations)]
    which = data.draw(st.integers(0, len(sentences) - 1))
    sentences[which] = _mutated(sentences[which], data)
    text = " ".join(sentences)
    refusal = None
    try:
        meaning = parse(text)
    except LanguageError as error:
        refusal = str(error)
    else:
        assert describe(*meaning) == text
    assert refusal is None or repr(sentences[which]) in refusal


def _mutated(text: str, data: st.DataObject) -> str:
    """Return the sentence with one character before its full stop deleted, inserted or replaced."""
    start = data.draw(st.integers(0, len(text) - 2))
    new: str = data.draw(st.sampled_from(["", *CHARACTERS]))
    end = start + data.draw(st.integers(0, 1))
    return text[:start] + new + text[end:]


@given(sequence=st.from_type(Sequence), data=st.data())
def test_description_cut_short_is_refused(sequence: Sequence, data: st.DataObject) -> None:
    """A description that lost its end anywhere but between sentences is an error."""
    text = describe(sequence.initial, sequence.operations)
    length = data.draw(st.integers(0, len(text) - 1))
    if text[:length].endswith("."):
        length -= 1
    with pytest.raises(LanguageError):
        parse(text[:length])


@given(text=st.text() | FRAGMENTS)
@example(text="")
@example(text=".")
@example(text=STATEMENT + " ")
@example(text=STATEMENT + "\n")
@example(text=STATEMENT + " " + MOVE)
@example(text=STATEMENT + " Put the bag into Box 9.")
@example(text=STATEMENT + " Put the pin and the pin into Box 1.")
def test_any_text_is_parsed_to_the_letter_or_refused(text: str) -> None:
    """Any text is parsed to what it says, or raises one of the project's errors."""
    try:
        meaning = parse(text)
    except LanguageError:
        with pytest.raises(LanguageError):
            parse_state(0, text)
        return
    assert describe(*meaning) == text
    try:
        state = parse_state(0, text)
    except RuleError:
        return
    assert state.description == text


def test_items_are_joined_with_and() -> None:
    """Each object has its article, and no object is ``nothing``."""
    assert items(()) == "nothing"
    assert items(("bag",)) == "the bag"
    assert items(("bag", "map")) == "the bag and the map"
    assert items(("bag", "cup", "map")) == "the bag and the cup and the map"


def test_statement_is_worded_as_in_the_dataset() -> None:
    """The initial description lists all seven boxes in one sentence."""
    assert statement(WORLD) == STATEMENT
    assert parse_statement(STATEMENT) == WORLD
    assert clause(0, ("bag", "map")) == "Box 0 contains the bag and the map"
    assert clause(1, ()) == "Box 1 contains nothing"


@pytest.mark.parametrize(
    ("operation", "text"),
    [
        (Operation("move", ("bag", "map"), 0, 2), MOVE),
        (Operation("remove", ("car",), 6, None), REMOVE),
        (Operation("put", ("coat",), None, 3), PUT),
    ],
)
def test_operation_is_worded_as_in_the_dataset(operation: Operation, text: str) -> None:
    """Each kind of operation has its one wording, and is read back from it."""
    assert sentence(operation) == text
    assert parse(f"{STATEMENT} {text}") == (WORLD, (operation,))


@pytest.mark.parametrize(
    "wrong",
    [
        "Move the bag and the map from Box 0 to Box 2",
        "Move the map and the bag from Box 0 to Box 2.",
        "Move the bag, the map from Box 0 to Box 2.",
        "Move the bag and map from Box 0 to Box 2.",
        "Move bag from Box 0 to Box 2.",
        "Move nothing from Box 0 to Box 2.",
        "Move the bag from Box 0 into Box 2.",
        "move the bag from Box 0 to Box 2.",
        "Remove the car from Box 10.",
        "Remove the car from Box -1.",
        "Remove the car from the Box 6.",
        "Remove the  car from Box 6.",
        " Remove the car from Box 6.",
        "Put the coat in Box 3.",
        "Put the ice cream into Box 3.",
        "Put the T-shirt into Box 3.",
        "Put the café into Box 3.",
        "Put  into Box 3.",
        "Box 0 contains nothing.",
        "Take the coat.",
        "",
    ],
)
def test_sentence_that_is_not_in_the_language_is_named(wrong: str) -> None:
    """The error of a description quotes the first sentence that cannot be read, and only that."""
    for text in (f"{STATEMENT} {wrong}", f"{STATEMENT} {MOVE} {wrong}"):
        with pytest.raises(LanguageError) as error:
            parse(text)
        assert str(error.value).endswith(f": {wrong!r}")


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (STATEMENT.removesuffix("."), "not a statement about Box 0 to Box 6 in order"),
        (STATEMENT.replace(", Box 1 contains nothing", ""), "not a statement about"),
        (STATEMENT.replace("Box 1", "Box 2"), "not a statement about"),
        (STATEMENT.replace("Box 6", "Box 7"), "not a statement about"),
        (STATEMENT.replace("the car.", "the car, Box 7 contains nothing."), "not a statement"),
        (STATEMENT.replace("Box 1 contains", "Box 1 holds"), "not a statement about"),
        (STATEMENT.replace("the coat", "coat"), "not a statement about"),
        (STATEMENT.replace("the coat", "nothing and the coat"), "not a statement about"),
        (STATEMENT.replace(", ", ","), "not a statement about"),
        (STATEMENT.replace("bag and the map", "map and the bag"), "not in alphabetical order"),
        (STATEMENT.replace("the coat", "the car"), "the car is in two places, the second is Box 6"),
        (STATEMENT.replace("the c,", "the c and the d,"), "Box 3 would hold 4 objects"),
    ],
)
def test_statement_that_is_wrong_is_named(wrong: str, reason: str) -> None:
    """A wrong initial statement is quoted, with what is wrong with it."""
    for text in (wrong, f"{wrong.removesuffix('.')}. {PUT}" if wrong.endswith(".") else wrong):
        with pytest.raises(LanguageError) as error:
            parse(text)
        assert reason in str(error.value)
        assert str(error.value).endswith(repr(wrong))
    with pytest.raises(LanguageError):
        parse_statement(wrong)


@pytest.mark.parametrize(
    "text",
    [
        STATEMENT.replace("Box 3", "Box \N{ARABIC-INDIC DIGIT THREE}"),
        f"{STATEMENT} Put the pin into Box \N{FULLWIDTH DIGIT THREE}.",
    ],
)
def test_digits_of_other_scripts_are_refused(text: str) -> None:
    """Only what ``describe`` writes is in the language: a box number is an ASCII digit."""
    with pytest.raises(LanguageError):
        parse(text)


def test_operation_that_cannot_be_carried_out_is_a_rule_error() -> None:
    """A sentence can be in the language and still break the rules of its world."""
    text = f"{STATEMENT} {MOVE} Remove the bag from Box 0."
    assert len(parse(text)[1]) == 2
    with pytest.raises(RuleError, match=r"the bag is not in Box 0: 'Remove the bag from Box 0\.'"):
        parse_state(0, text)


def test_states_are_the_prefixes_of_the_sequence() -> None:
    """Each state's description is the previous one and one sentence more."""
    operations = [Operation("move", ("bag", "map"), 0, 2), Operation("put", ("pin",), None, 0)]
    result = list(states(3, WORLD, operations))
    assert [state.description for state in result] == [
        STATEMENT,
        f"{STATEMENT} {MOVE}",
        f"{STATEMENT} {MOVE} Put the pin into Box 0.",
    ]
    assert [state.queries[0].numops_by_op for state in result] == [(0, 0, 0), (1, 0, 0), (1, 0, 1)]
    assert [state.queries[2].numops for state in result] == [0, 1, 1]
    assert result[-1].queries[2].gold == ("bag", "coat", "map")
