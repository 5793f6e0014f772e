"""Scoring texts, compared with gold and with an independent implementation of the rules."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.boxes.language import statement
from benchmark.boxes.states import parse_state
from benchmark.boxes.world import BOXES
from benchmark.records import Outcome, Query, State, Tally
from benchmark.scoring.counts import count
from benchmark.scoring.outcomes import SCORES, score
from benchmark.scoring.parsing import parse_answer

NAMES = st.sampled_from(["bag", "map", "cup", "feather", "leather", "band"])
GOLD = st.lists(
    st.lists(NAMES, max_size=3, unique=True).map(sorted), min_size=BOXES, max_size=BOXES
)
CONTENT = st.lists(
    st.one_of(NAMES, st.sampled_from(["the", "and", "nothing", "Bag", "Box", "x"])), max_size=6
)


def _state(gold: Sequence[Sequence[str]]) -> State:
    queries = (Query(box, tuple(names), box, (0, 0, 0)) for box, names in enumerate(gold))
    return State(1, "", tuple(queries))


def _naive(content: Sequence[str], gold: Sequence[str]) -> bool:
    """Apply the rules of the protocol naively to the words after ``contains``."""
    if list(content) == ["nothing"]:
        return not gold
    items: list[list[str]] = [[]]
    for word in content:
        if word == "and" and items[-1] and items[-1] != ["the"] * len(items[-1]):
            items.append([])
        else:
            items[-1].append(word)
    names = set()
    for item in items:
        while len(item) > 1 and item[0] == "the":
            item.pop(0)
        names.add(" ".join(item))
    return bool(content) and names == set(gold)


@given(GOLD, st.lists(CONTENT, min_size=BOXES, max_size=BOXES))
def test_constrained_answers_are_scored_word_by_word(
    gold: list[list[str]], contents: list[list[str]]
) -> None:
    """The scorer agrees with the naive one on any text of the answer expression."""
    clauses = ", ".join(
        f"Box {box} contains{''.join(f' {word}' for word in words)}"
        for box, words in enumerate(contents)
    )
    outcome = score(parse_answer(f"Statement: {clauses}.", BOXES), _state(gold))
    expected = [_naive(words, names) for words, names in zip(contents, gold, strict=True)]
    assert list(outcome.correct) == expected


@given(GOLD)
def test_gold_always_scores_one(gold: list[list[str]]) -> None:
    """The gold statement is right in every box."""
    text = f"Statement: {statement(tuple(map(tuple, gold)))}"
    assert all(score(parse_answer(text, BOXES), _state(gold)).correct)


def test_outcome_carries_what_counts_are_made_by() -> None:
    """An outcome keeps sequence and numops of its state."""
    boxes = ", ".join(f"Box {box} contains the {name}" for box, name in enumerate("abcdefg"))
    state = parse_state(7, f"{boxes}. Move the a from Box 0 to Box 1. Remove the g from Box 6.")
    outcome = score(parse_answer(f"Statement: {boxes}.", BOXES), state)
    assert outcome.sample_id == 7
    assert outcome.numops == (1, 1, 0, 0, 0, 0, 1)
    assert outcome.correct == (False, False, True, True, True, True, False)


def test_counts_by_numops() -> None:
    """Counts add up by numops, overall, and for the queries that an operation changed."""
    outcomes = [
        Outcome(1, (0, 0, 1), (True, False, True)),
        Outcome(1, (0, 2, 1), (True, False, False)),
    ]
    counts = count(outcomes)
    assert counts.by_numops == {0: Tally(2, 3), 1: Tally(1, 2), 2: Tally(0, 1)}
    assert counts.overall == Tally(3, 6)
    assert counts.nontrivial == Tally(1, 3)


def test_no_outcomes_are_no_counts() -> None:
    """Without outcomes all counts are zero."""
    nothing: Callable[[], list[Outcome]] = list
    assert count(nothing()).overall == Tally(0, 0)


AUTHORS = json.loads(
    (Path(__file__).parents[3] / "fixtures" / "scoring" / "authors.json").read_text("utf-8")
)
"""Answers made up here, whole and cut off, with what the authors' two scripts say of each box.

``set`` is their metrics script with ``--zero_shot``, ``exact`` without it, as their README runs it.
"""


@pytest.mark.parametrize("by", SCORES)
@pytest.mark.parametrize("case", AUTHORS, ids=[f"answer {n}" for n in range(len(AUTHORS))])
def test_we_agree_with_the_authors(case: dict[str, Any], by: str) -> None:
    """Each query is right here exactly where it is right by the authors' scripts.

    With one exception: a box that the token limit cuts off is wrong by ``exact`` even if its text
    is the gold text so far, since its continuation is unknown.
    """
    outcome = score(parse_answer(case["text"], BOXES), _state(case["gold"]), by)
    expected = list(map(int, case[by]))
    if by == "exact" and not case["text"].endswith("."):
        last = case["text"].rpartition("Box ")[2][:1]
        if last.isdigit():
            expected[int(last)] = 0
    assert list(map(int, outcome.correct)) == expected


@given(GOLD, st.data())
def test_exact_is_the_gold_string(gold: list[list[str]], data: st.DataObject) -> None:
    """A box is right by ``exact`` if the words after ``contains`` are the gold words, in order."""
    said = [data.draw(st.permutations(names)) for names in gold]
    clauses = [" and ".join(f"the {name}" for name in names) or "nothing" for names in said]
    text = ", ".join(f"Box {box} contains {clause}" for box, clause in enumerate(clauses))
    answer = parse_answer(f"Statement: {text}.", BOXES)
    assert all(score(answer, _state(gold)).correct)
    in_order = [list(names) == sorted(names) for names in said]
    assert list(score(answer, _state(gold), "exact").correct) == in_order


@given(st.text(max_size=80) | st.lists(CONTENT, max_size=8).map(str), GOLD)
def test_exact_is_never_kinder(text: str, gold: list[list[str]]) -> None:
    """A query that is right by ``exact`` is right by ``set``, for any text."""
    answer, state = parse_answer(text, BOXES), _state(gold)
    strict, lenient = score(answer, state, "exact").correct, score(answer, state).correct
    assert all(loose for tight, loose in zip(strict, lenient, strict=True) if tight)
