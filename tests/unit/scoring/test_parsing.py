"""Parsing what a text says about each box."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.boxes.world import BOXES
from benchmark.scoring.parsing import parse_answer

CASES = Path(__file__).parents[3] / "fixtures" / "scoring"
CONTENTS = json.loads((CASES / "contents.json").read_text(encoding="utf-8"))
TEXTS = json.loads((CASES / "texts.json").read_text(encoding="utf-8"))

WORDS = st.from_regex("[a-zA-Z]{1,9}", fullmatch=True).filter(
    lambda word: word not in {"the", "and", "nothing"}
)
BOX = st.frozensets(WORDS, max_size=3)
WORLDS = st.lists(BOX, min_size=BOXES, max_size=BOXES)
FRAGMENTS = st.lists(
    st.one_of(
        st.sampled_from(
            ["Statement:", "Box ", "Box 0 contains", "Box 6 contains ", " the", " and ", ", ", "."]
        ),
        st.text(max_size=5),
    )
).map("".join)


def _statement(world: list[list[str]]) -> str:
    boxes = (
        f"Box {box} contains {' and '.join(f'the {name}' for name in objects) or 'nothing'}"
        for box, objects in enumerate(world)
    )
    return f"Statement: {', '.join(boxes)}."


@pytest.mark.parametrize("case", CONTENTS, ids=[case["case"] for case in CONTENTS])
def test_content_of_a_box(case: dict[str, Any]) -> None:
    """The case holds for every box and for every continuation of the text."""
    for box in range(BOXES):
        texts = [" the x"] * BOXES
        texts[box] = case["content"]
        clauses = ", ".join(f"Box {k} contains{text}" for k, text in enumerate(texts))
        answer = parse_answer(f"Statement: {clauses}.", BOXES)
        assert (answer.contents[box] == frozenset(case["gold"])) is case["set"]
        requested = " and ".join(f"the {name}" for name in case["gold"]) or "nothing"
        assert (answer.verbatim[box] == requested) is case["exact"]
        others = [contents for k, contents in enumerate(answer.contents) if k != box]
        assert others == [frozenset({"x"})] * (BOXES - 1)


@pytest.mark.parametrize("case", TEXTS, ids=[case["case"] for case in TEXTS])
def test_contents_of_a_text(case: dict[str, Any]) -> None:
    """A complete text is parsed to these contents by box, null for a missing answer."""
    expected = tuple(None if names is None else frozenset(names) for names in case["contents"])
    answer = parse_answer(case["text"], BOXES)
    assert answer.contents == expected
    assert list(answer.verbatim) == case.get("verbatim", list(answer.verbatim))


@given(FRAGMENTS)
def test_no_text_raises(text: str) -> None:
    """Any text at all is an answer for seven boxes."""
    assert len(parse_answer(text, BOXES).contents) == BOXES


@pytest.mark.parametrize("filler", ["\n", " ", "\t", ", ", "Box ", " and", "\n Box", " Box 1 "])
def test_long_runs_are_read_in_no_time(filler: str) -> None:
    """A degenerate answer of tens of thousands of characters is parsed like any other.

    Time that grew with the square or cube of a run's length would be minutes here.
    """
    text = f"Statement: Box 0 contains the bag{filler * 20_000}Box 1 contains the map."
    assert len(parse_answer(text, BOXES).contents) == BOXES


@given(WORLDS, st.randoms(use_true_random=False))
def test_order_and_repetition_do_not_matter(world: list[frozenset[str]], random: Random) -> None:
    """A statement is parsed to its sets, for any order and repetition of objects."""
    named = []
    for objects in world:
        names = sorted(objects) + [name for name in sorted(objects) if random.random() < 0.5]
        random.shuffle(names)
        named.append(names)
    assert list(parse_answer(_statement(named), BOXES).contents) == world


@given(FRAGMENTS)
def test_an_answer_written_out_reads_as_itself(text: str) -> None:
    """Parsing is idempotent: parsed contents, written again, are parsed to the same."""
    first = parse_answer(text, BOXES).contents
    clean = [
        None if names is None or any(not _plain(name) for name in names) else names
        for names in first
    ]
    said = ", ".join(
        f"Box {box} contains {' and '.join(f'the {name}' for name in sorted(names)) or 'nothing'}"
        for box, names in enumerate(clean)
        if names is not None
    )
    assert list(parse_answer(f"Statement: {said}.", BOXES).contents) == clean


def _plain(name: str) -> bool:
    return name.isascii() and name.isalpha() and name not in {"the", "and", "nothing"}
