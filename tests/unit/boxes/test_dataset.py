"""States as the authors' JSON lines: round trip, and every kind of damage."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.boxes import splits
from benchmark.boxes.dataset import generate, read_file, read_states, rows
from benchmark.boxes.generator import Sequence
from benchmark.boxes.states import parse_state, states
from benchmark.errors import DataError, SettingError
from benchmark.records import Contents, State

Fields = dict[str, object]
Damage = Callable[[list[Fields]], object]

DESCRIPTION = (
    "Box 0 contains the bag and the map, Box 1 contains nothing, Box 2 contains the coat, "
    "Box 3 contains nothing, Box 4 contains nothing, Box 5 contains nothing, "
    "Box 6 contains the car. Move the bag from Box 0 to Box 2. Remove the car from Box 6. "
    "Put the pin into Box 2."
)
# box: its contents, numops, and numops_by_op, worked out by hand
BY_HAND = [
    ("the map", 1, '{"move": 1, "remove": 0, "put": 0}'),
    ("nothing", 0, '{"move": 0, "remove": 0, "put": 0}'),
    ("the bag and the coat and the pin", 2, '{"move": 1, "remove": 0, "put": 1}'),
    ("nothing", 0, '{"move": 0, "remove": 0, "put": 0}'),
    ("nothing", 0, '{"move": 0, "remove": 0, "put": 0}'),
    ("nothing", 0, '{"move": 0, "remove": 0, "put": 0}'),
    ("nothing", 1, '{"move": 0, "remove": 1, "put": 0}'),
]
LINES = [
    f'{{"sentence": "{DESCRIPTION} Box {box} contains {gold}.", '
    f'"sentence_masked": "{DESCRIPTION} Box {box} contains <extra_id_0> .", '
    f'"masked_content": "<extra_id_0> {gold}", '
    f'"sample_id": 17, "numops": {numops}, "numops_by_op": {by_op}}}'
    for box, (gold, numops, by_op) in enumerate(BY_HAND)
]


def lines_of(state_rows: list[Fields]) -> list[str]:
    """Rows as JSON lines."""
    return [json.dumps(row) for row in state_rows]


def parsed() -> list[Fields]:
    """Return the rows of the example, to be damaged."""
    return [json.loads(line) for line in LINES]


def test_rows_are_in_the_authors_schema_to_the_letter() -> None:
    """A state becomes seven lines with the authors' fields, in their order and wording."""
    assert list(rows(parse_state(17, DESCRIPTION))) == LINES


def test_rows_are_read_back() -> None:
    """Seven lines become the state that was written, with its contents and numops."""
    assert list(read_states(LINES, "x")) == [parse_state(17, DESCRIPTION)]


@given(sequence=st.from_type(Sequence))
def test_read_states_is_the_inverse_of_rows(sequence: Sequence) -> None:
    """All states of a sequence are read back as they were written."""
    every = list(states(sequence.sample_id, sequence.initial, sequence.operations))
    assert list(read_states([row for state in every for row in rows(state)], "x")) == every


def test_generated_data_is_read_back_from_a_file(tmp_path: Path, vocabulary: Contents) -> None:
    """A subset of the generator's states is unchanged after writing and reading a file."""
    every = list(generate("dev", 3, vocabulary))[::40]
    path = tmp_path / "dev.jsonl"
    path.write_text("".join(f"{row}\n" for state in every for row in rows(state)))
    assert list(read_file(path)) == every


def test_lines_are_read_as_they_come() -> None:
    """A state is yielded as soon as its seven lines are read."""
    source = iter(LINES * 3)
    next(read_states(source, "x"))
    assert len(list(source)) == 14


def test_line_ends_and_empty_lines_do_not_matter() -> None:
    """Line ends, surrounding spaces and empty lines are ignored, but counted."""
    spaced = [f"  {line}\r\n" for line in LINES]
    assert list(read_states(["\n", *spaced, "\n"], "x")) == list(read_states(LINES, "x"))
    with pytest.raises(DataError, match=r"^x:3: not JSON"):
        list(read_states(["\n", "\n", "{\n"], "x"))


def test_fields_of_later_versions_are_left_aside() -> None:
    """Unknown fields are ignored."""
    more = [row | {"note": "new"} for row in parsed()]
    assert list(read_states(lines_of(more), "x")) == list(read_states(LINES, "x"))


def test_nothing_is_read_from_no_lines() -> None:
    """An empty file has no states."""
    assert list(read_states([], "x")) == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not JSON: "),
        ('{"numops": 0, "numops": 1}', "not JSON: a field occurs twice"),
        ('{"numops": 0', "not JSON: "),
        ("Box 0 contains nothing.", "not JSON: "),
        ("[" * 100_000, "nested too deeply"),
        ("9" * 5000, "not JSON: "),
        ("[]", "not a JSON object but '[]'"),
        ("null", "not a JSON object but 'null'"),
        ('"text"', "not a JSON object but '\"text\"'"),
        ("1", "not a JSON object but '1'"),
    ],
)
def test_line_that_is_no_object_is_named(line: str, message: str) -> None:
    """A line that is not a JSON object is an error with its number."""
    damaged = [*LINES, *LINES[:4], line, *LINES[5:]]
    with pytest.raises(DataError) as error:
        list(read_states(damaged, "test.jsonl"))
    assert str(error.value).startswith(f"test.jsonl:12: {message}")


@pytest.mark.parametrize("name", list(json.loads(LINES[0])))
@pytest.mark.parametrize("box", [0, 4])
def test_missing_field_is_named(name: str, box: int) -> None:
    """A row without one of the six fields is an error with the line and the field."""
    damaged = parsed()
    del damaged[box][name]
    with pytest.raises(DataError) as error:
        list(read_states(lines_of(damaged), "x"))
    assert str(error.value).startswith(f"x:{box + 1}: ")
    assert name in str(error.value)


@pytest.mark.parametrize(
    ("box", "name", "value"),
    [
        (0, "masked_content", "<extra_id_0> the bag and the map"),
        (1, "masked_content", "<extra_id_0> the map"),
        (2, "masked_content", "<extra_id_0> the coat and the bag and the pin"),
        (2, "sentence", f"{DESCRIPTION} Box 2 contains the coat."),
        (3, "sentence", f"{DESCRIPTION} Box 3 contains nothing ."),
        (4, "sentence_masked", f"{DESCRIPTION} Box 4 contains <extra_id_0>."),
        (4, "sentence_masked", f"{DESCRIPTION} Box 5 contains <extra_id_0> ."),
        (0, "numops", 2),
        (5, "numops", 1),
        (6, "numops", -1),
        (2, "numops_by_op", {"move": 2, "remove": 0, "put": 0}),
        (2, "numops_by_op", {"move": 1, "put": 1}),
        (2, "numops_by_op", {"move": 1, "remove": 0, "put": 1, "swap": 0}),
        (3, "sample_id", 18),
        # of the wrong type
        (0, "masked_content", ["the map"]),
        (2, "sentence", None),
        (4, "sentence_masked", 4),
        (2, "numops", "2"),
        (2, "numops", None),
        (2, "numops_by_op", [1, 0, 1]),
        (3, "sample_id", "17"),
        (3, "sample_id", None),
    ],
)
def test_wrong_value_is_named(box: int, name: str, value: object) -> None:
    """A value that does not follow from the description is an error with line and field."""
    damaged = parsed()
    damaged[box][name] = value
    with pytest.raises(DataError) as error:
        list(read_states(LINES + lines_of(damaged), "x"))
    assert str(error.value).startswith(f"x:{8 + box}: {name} ")


@pytest.mark.parametrize(
    ("box", "name", "value"),
    [
        (1, "numops", False),
        (0, "numops", True),
        (1, "numops", 0.0),
        (0, "numops_by_op", {"move": True, "remove": False, "put": False}),
        (0, "numops_by_op", {"move": 1.0, "remove": 0, "put": 0}),
        (4, "sample_id", 17.0),
    ],
)
def test_number_of_another_json_type_is_named(box: int, name: str, value: object) -> None:
    """True, 1.0 and 1 are equal in Python, but only the whole number is in the schema."""
    damaged = parsed()
    damaged[box][name] = value
    with pytest.raises(DataError) as error:
        list(read_states(lines_of(damaged), "x"))
    assert str(error.value).startswith(f"x:{box + 1}: {name} ")


@pytest.mark.parametrize("value", ["17", None, 17.5, 17.0, [17], True])
def test_sample_id_is_a_whole_number(value: object) -> None:
    """A sample_id of another type is an error at the state's first row."""
    damaged = [row | {"sample_id": value} for row in parsed()]
    with pytest.raises(DataError, match=r"^x:1: sample_id is .*, not a whole number"):
        list(read_states(lines_of(damaged), "x"))


def swap(first: int, second: int) -> Damage:
    """Damage: two rows are swapped."""

    def damage(state_rows: list[Fields]) -> None:
        state_rows[first], state_rows[second] = state_rows[second], state_rows[first]

    return damage


@pytest.mark.parametrize(
    ("damage", "line"),
    [(swap(0, 1), 1), (swap(2, 3), 3), (swap(5, 6), 6), (lambda given: given.reverse(), 1)],
)
def test_boxes_out_of_order_are_named(damage: Damage, line: int) -> None:
    """Rows must be in the order of the boxes; the first that is not is named."""
    damaged = parsed()
    damage(damaged)
    with pytest.raises(DataError, match=rf"^x:{line}: "):
        list(read_states(lines_of(damaged), "x"))


def test_row_that_is_missing_or_twice_is_named() -> None:
    """If one of the seven rows is missing or repeated, the next one is named."""
    with pytest.raises(DataError, match=r"^x:4: "):
        list(read_states([*LINES[:3], *LINES[4:], *LINES], "x"))
    with pytest.raises(DataError, match=r"^x:4: "):
        list(read_states([*LINES[:3], *LINES[2:]], "x"))


@pytest.mark.parametrize("left", range(1, 7))
def test_rows_left_over_are_named(left: int) -> None:
    """Leftover rows are counted, and the first of them is named."""
    result = read_states([*LINES, *LINES[:left]], "x")
    assert next(result).sample_id == 17
    with pytest.raises(DataError) as error:
        next(result)
    rows = "1 row" if left == 1 else f"{left} rows"
    assert str(error.value) == f"x:8: {rows} left over; a state is 7 rows, one per box"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Move the bag", "Take the bag", "not a sentence of the boxes task: 'Take the bag"),
        ("Move the bag", "Move the hat", "the hat is not in Box 0: 'Move the hat from Box 0"),
        ("the bag and the map", "the map and the bag", "objects not in alphabetical order"),
        ("Box 1 contains nothing", "Box 1 contains the car", "the car is in two places"),
    ],
)
def test_description_against_the_rules_is_named(old: str, new: str, message: str) -> None:
    """An invalid description is an error at the state's first row."""
    with pytest.raises(DataError) as error:
        list(read_states([*LINES, *(line.replace(old, new) for line in LINES)], "x"))
    assert str(error.value).startswith(f"x:8: {message}")


@given(data=st.data())
def test_any_damaged_line_is_a_data_error_or_the_same_state(data: st.DataObject) -> None:
    """One changed character leads to an error, or to a state with exactly these rows."""
    which = data.draw(st.integers(0, 6))
    start = data.draw(st.integers(0, len(LINES[which]) - 1))
    end = start + data.draw(st.integers(0, 1))
    new = data.draw(st.sampled_from(["", *'"{}[]:, 0129.eatB\\\x00é']))
    damaged = list(LINES)
    damaged[which] = LINES[which][:start] + new + LINES[which][end:]
    refusal = None
    try:
        result = list(read_states(damaged, "x"))
    except DataError as error:
        refusal = str(error)
    else:
        assert result == list(read_states(LINES, "x"))
    assert refusal is None or refusal.startswith("x:")


def test_file_that_is_not_there_is_a_data_error(tmp_path: Path) -> None:
    """A file that cannot be opened is named."""
    with pytest.raises(DataError, match=r"none\.jsonl: cannot be read"):
        list(read_file(tmp_path / "none.jsonl"))


def test_file_that_is_not_utf8_is_a_data_error(tmp_path: Path) -> None:
    """A file in another encoding is named."""
    path = tmp_path / "latin.jsonl"
    path.write_bytes(b'{"sentence": "caf\xe9"}\n')
    with pytest.raises(DataError, match=r"latin\.jsonl:1: cannot be read"):
        list(read_file(path))


def test_errors_of_a_file_name_its_line(tmp_path: Path) -> None:
    """The file and the line of the damage are named as an editor opens them."""
    path = tmp_path / "test.jsonl"
    path.write_text("\n".join([*LINES, "{}", *LINES[1:]]))
    with pytest.raises(DataError) as error:
        list(read_file(path))
    assert str(error.value).startswith(f"{path}:8: ")


def test_all_is_the_three_splits_in_order(
    vocabulary: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The split ``all`` is train, dev and test, one after another."""
    monkeypatch.setattr(splits, "SEQUENCES", 100)
    result = [list(generate(split, 2, vocabulary)) for split in ("train", "dev", "test")]
    assert [len(split) for split in result] == [45 * 13, 10 * 13, 45 * 13]
    assert list(generate("all", 2, vocabulary)) == [state for split in result for state in split]


def test_unknown_split_is_a_setting_error(vocabulary: Contents) -> None:
    """An unknown split is a SettingError, not a KeyError."""
    with pytest.raises(SettingError, match="unknown split 'valid'"):
        list(generate("valid", 0, vocabulary))


def test_state_has_seven_queries(vocabulary: Contents) -> None:
    """Each state has one query per box, in order."""
    state: State = next(generate("dev", 0, vocabulary))
    assert [query.box for query in state.queries] == [0, 1, 2, 3, 4, 5, 6]
