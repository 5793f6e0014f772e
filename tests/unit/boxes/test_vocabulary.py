"""The names of objects: the project's own list, and errors in a user's."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.boxes.vocabulary import default_vocabulary, read_vocabulary
from benchmark.errors import DataError

NAMES = [f"{first}{second}" for first in "abcde" for second in "vwxyz"]


def write(path: Path, *lines: str) -> Path:
    """Write a CSV file of these lines; return its path."""
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The path of a test's vocabulary."""
    return tmp_path / "objects.csv"


def test_default_vocabulary_has_100_distinct_lower_case_words() -> None:
    """The project's list is 100 different words of a to z, in alphabetical order."""
    objects = default_vocabulary()
    assert len(objects) == len(set(objects)) == 100
    assert all(re.fullmatch("[a-z]+", name) for name in objects)
    assert list(objects) == sorted(objects)


def test_default_vocabulary_has_no_word_of_the_language() -> None:
    """No object has the name of a word of the sentences."""
    words = {"the", "and", "nothing", "box", "contains", "move", "remove", "put", "from", "into"}
    assert words.isdisjoint(default_vocabulary())


def test_vocabulary_is_read_in_alphabetical_order(file: Path) -> None:
    """The order of the file does not matter."""
    assert read_vocabulary(write(file, "object_name", *reversed(NAMES))) == tuple(NAMES)


def test_other_columns_and_a_byte_order_mark_are_left_aside(file: Path) -> None:
    """Only the column object_name counts, as in the authors' own file."""
    lines = ["\ufeffobject_name,frequency", *(f'{name},"1,234"' for name in NAMES)]
    assert read_vocabulary(write(file, *lines)) == tuple(NAMES)


def test_empty_lines_are_left_aside(file: Path) -> None:
    """An empty line is ignored."""
    assert read_vocabulary(write(file, "object_name", "", *NAMES, "")) == tuple(NAMES)


@pytest.mark.parametrize(
    "wrong",
    ["ice cream", "T-shirt", "café", "box1", " bag", "bag ", '"bag,cup"', '""', "the", "and"],
)
def test_name_that_is_not_one_word_is_refused_with_its_line(file: Path, wrong: str) -> None:
    """A name that is invalid in the language is reported with file and line."""
    write(file, "object_name", *NAMES[:3], wrong, *NAMES[3:])
    with pytest.raises(DataError, match=rf"^{re.escape(str(file))}:5: ") as error:
        read_vocabulary(file)
    assert repr(wrong.strip('"')) in str(error.value)


def test_nothing_is_refused(file: Path) -> None:
    """``nothing`` cannot be an object: it is the content of an empty box."""
    write(file, "object_name", *NAMES, "nothing")
    with pytest.raises(DataError, match=r":27: 'nothing'"):
        read_vocabulary(file)


def test_short_row_is_refused_with_its_line(file: Path) -> None:
    """A row that ends before the column is a missing name."""
    write(file, "frequency,object_name", f"1,{NAMES[0]}", "2")
    with pytest.raises(DataError, match=r":3: '' is not one word"):
        read_vocabulary(file)


def test_repeated_name_is_refused_with_its_line(file: Path) -> None:
    """The second of two equal names is named."""
    write(file, "object_name", *NAMES, NAMES[4])
    with pytest.raises(DataError, match=r":27: 'az' occurs twice in the vocabulary"):
        read_vocabulary(file)


@pytest.mark.parametrize("lines", [(), ("",), ("name", "bag"), ("Object_Name", "bag")])
def test_missing_column_is_refused(file: Path, lines: tuple[str, ...]) -> None:
    """The error for a file without the column names it."""
    with pytest.raises(DataError, match=r":1: no column 'object_name'; name it in the first line"):
        read_vocabulary(write(file, *lines))


def test_too_few_objects_are_refused(file: Path) -> None:
    """The vocabulary must be able to fill all boxes: 21 objects are enough, 20 are not."""
    assert len(read_vocabulary(write(file, "object_name", *NAMES[:21]))) == 21
    with pytest.raises(DataError, match=r": 20 objects; at least 21 are needed"):
        read_vocabulary(write(file, "object_name", *NAMES[:20]))


def test_missing_file_is_a_data_error(tmp_path: Path) -> None:
    """A file that is not there is named."""
    with pytest.raises(DataError, match=r"none\.csv: cannot be read"):
        read_vocabulary(tmp_path / "none.csv")


def test_file_that_is_not_utf8_is_a_data_error(file: Path) -> None:
    """A file in another encoding is named."""
    file.write_bytes(b"object_name\ncaf\xe9\n")
    with pytest.raises(DataError, match=r"cannot be read"):
        read_vocabulary(file)


def test_unclosed_quote_is_refused(file: Path) -> None:
    """A stray quote does not join the lines that follow it into one long word."""
    write(file, "object_name", *NAMES, '"pin', "rug", "mat")
    with pytest.raises(DataError, match=r":2[789]: "):
        read_vocabulary(file)


def test_name_over_two_lines_is_refused(file: Path) -> None:
    """Two stray quotes do not join the lines between them into one word either."""
    write(file, "object_name", *NAMES, '"pin', 'rug"', "mat")
    with pytest.raises(DataError, match=r":2[78]: "):
        read_vocabulary(file)


def test_line_longer_than_csv_reads_is_a_data_error(file: Path) -> None:
    """Errors of the csv module are DataErrors."""
    write(file, "object_name", *NAMES, "x" * 140_000)
    with pytest.raises(DataError):
        read_vocabulary(file)


@given(text=st.text() | st.lists(st.sampled_from([*NAMES, '"', ",", "\n", "\r"])).map("".join))
def test_any_text_is_a_vocabulary_or_refused(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    """Any file is a list of valid names or a DataError."""
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_text(f"object_name\n{text}", encoding="utf-8", errors="replace", newline="")
    refusal = None
    try:
        objects = read_vocabulary(path)
    except DataError as error:
        refusal = str(error)
    else:
        assert all(re.fullmatch("[a-zA-Z]+", name) for name in objects)
        assert len(set(objects)) == len(objects) >= 21
    assert refusal is None or refusal.startswith(str(path))
