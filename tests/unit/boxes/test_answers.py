"""The expression that answers must match."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.boxes.answers import answer_expression

FIGURE_4 = (
    r"Statement: Box 0 contains( [a-zA-Z]+)*, Box 1 contains( [a-zA-Z]+)*, "
    r"Box 2 contains( [a-zA-Z]+)*, Box 3 contains( [a-zA-Z]+)*, Box 4 contains( [a-zA-Z]+)*, "
    r"Box 5 contains( [a-zA-Z]+)*, Box 6 contains( [a-zA-Z]+)*\."
)
CONTENTS = st.lists(st.from_regex("[a-zA-Z]{1,9}", fullmatch=True), max_size=5)
ANSWER = "Statement: Box 0 contains the bag and the map, Box 1 contains nothing."


def test_seven_boxes() -> None:
    """The expression for seven boxes is the paper's, character by character."""
    assert answer_expression(7) == FIGURE_4


@given(st.lists(CONTENTS, min_size=1, max_size=9))
def test_any_words_may_be_in_any_box(boxes: list[list[str]]) -> None:
    """A clause for each box in order with any number of words, then a full stop, is an answer."""
    clauses = (
        f"Box {box} contains{''.join(f' {word}' for word in words)}"
        for box, words in enumerate(boxes)
    )
    assert re.fullmatch(answer_expression(len(boxes)), f"Statement: {', '.join(clauses)}.")


@pytest.mark.parametrize(
    "text",
    [
        ANSWER.removesuffix("."),
        ANSWER + ".",
        ANSWER.replace(".", "x"),
        ANSWER.removeprefix("Statement: "),
        " " + ANSWER,
        ANSWER.replace("Box 1", "Box 2"),
        ANSWER.replace(", Box 1 contains nothing", ""),
        ANSWER.replace(" the map", "  the map"),
        ANSWER.replace("the map", "the 3 maps"),
        ANSWER.replace("nothing", "nothing at\nall"),
    ],
)
def test_other_texts_are_no_answers(text: str) -> None:
    """A text that differs from the form in one place does not match."""
    assert re.fullmatch(answer_expression(2), ANSWER)
    assert not re.fullmatch(answer_expression(2), text)
