"""The random baseline: closed form, enumeration and simulation agree by every reading."""

import re
from collections import Counter
from fractions import Fraction
from itertools import permutations, product
from math import sqrt
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmark.boxes.baseline import (
    baselines,
    baselines_as_json,
    expectation,
    mentions,
    readings,
)
from benchmark.boxes.dataset import generate
from benchmark.boxes.generator import Sequence
from benchmark.boxes.states import parse_state, states
from benchmark.records import Contents
from fakes.drawn_baseline import is_right, predict
from fakes.draws import draws

LEVEL = 1e-4
DESCRIPTION = (
    "Box 0 contains the bag and the map, Box 1 contains nothing, Box 2 contains the coat, "
    "Box 3 contains nothing, Box 4 contains nothing, Box 5 contains nothing, "
    "Box 6 contains the car. Move the bag from Box 0 to Box 2. Move the bag from Box 2 to Box 3. "
    "Remove the car from Box 6. Put the pin into Box 2. Put the car into Box 0."
)
CASES = [
    (("a",), ("a",)),
    (("a",), ()),
    (("a", "b"), ("a",)),
    (("a", "a", "b"), ("a",)),
    (("a", "a", "b"), ("a", "b")),
    (("b", "a", "c", "c", "d"), ("a", "c", "d")),
    (("a", "b", "c", "d", "d", "d"), ("b", "d")),
]

every_reading = pytest.mark.parametrize("name", readings())


def enumerated(name: str, mentioned: Contents, gold: Contents) -> Fraction:
    """Return the probability of a right answer by enumerating all possible draws.

    Written for each reading on its own, without the project's functions.
    """
    chance = Fraction(0)
    for uniform in range(4):
        if name == "mentions":
            series = list(product(mentioned, repeat=uniform)) if mentioned else [()]
            hits = [set(drawn) == set(gold) for drawn in series]
        else:
            distinct = sorted(set(mentioned))
            series = list(permutations(distinct, min(uniform, len(distinct))))
            if name == "exact":
                hits = [list(drawn) == list(gold) for drawn in series]
            else:
                hits = [sorted(drawn) == sorted(gold) for drawn in series]
        chance += Fraction(sum(hits), len(hits)) / 4
    return chance


def test_the_readings() -> None:
    """The three readings have a wording, and the one comparable with Table 6 is first."""
    assert list(readings()) == ["exact", "set", "mentions"]
    # With its name each is one line of the table's legend.
    assert all(len(f"{name}: {reading.wording}") <= 80 for name, reading in readings().items())


@every_reading
@settings(max_examples=100)
@given(
    mentioned=st.lists(st.sampled_from("abcdef"), max_size=7).map(tuple),
    gold=st.sets(st.sampled_from("abcdef"), max_size=3).map(sorted).map(tuple),
)
@example(mentioned=(), gold=())
@example(mentioned=(), gold=("a",))
@example(mentioned=("a", "a", "b", "c"), gold=("a", "b", "c"))
def test_expectation_is_what_enumeration_gives(
    name: str, mentioned: Contents, gold: Contents
) -> None:
    """The closed form is exactly the share of the possible draws that are right."""
    assert expectation(readings()[name], mentioned, gold) == enumerated(name, mentioned, gold)


@every_reading
@given(mentioned=st.lists(st.sampled_from("abcde"), min_size=1, max_size=6).map(tuple))
def test_expectations_of_all_answers_sum_to_one(name: str, mentioned: Contents) -> None:
    """The probabilities of all answers of at most three objects sum to one."""
    every = {drawn for k in range(4) for drawn in permutations(sorted(set(mentioned)), k)}
    if name != "exact":
        every = {tuple(sorted(drawn)) for drawn in every}
    assert sum(expectation(readings()[name], mentioned, gold) for gold in every) == 1


@pytest.mark.parametrize(
    ("mentioned", "gold", "exact", "by_set", "by_mentions"),
    [
        ((), (), Fraction(1), Fraction(1), Fraction(1)),
        ((), ("a",), Fraction(0), Fraction(0), Fraction(0)),
        (("a",), (), Fraction(1, 4), Fraction(1, 4), Fraction(1, 4)),
        # Of one object that is there one is drawn in three cases of four.
        (("a",), ("a",), Fraction(3, 4), Fraction(3, 4), Fraction(3, 4)),
        (("a", "b"), ("a",), Fraction(1, 8), Fraction(1, 8), Fraction(1, 8) + Fraction(3, 32)),
        (("a", "b"), ("a", "b"), Fraction(1, 4), Fraction(1, 2), Fraction(5, 16)),
        (("b", "a"), ("a", "b"), Fraction(1, 4), Fraction(1, 2), Fraction(5, 16)),
        (
            ("a", "a", "b"), ("b",), Fraction(1, 8), Fraction(1, 8),
            Fraction(1, 12) + Fraction(1, 36) + Fraction(1, 108),
        ),
        (("a", "b", "c"), ("a", "b", "c"), Fraction(1, 24), Fraction(1, 4), Fraction(1, 18)),
        (("a", "b"), ("c",), Fraction(0), Fraction(0), Fraction(0)),
    ],
)  # fmt: skip
def test_expectation_by_hand(
    mentioned: Contents, gold: Contents, exact: Fraction, by_set: Fraction, by_mentions: Fraction
) -> None:
    """Small cases, worked out by hand."""
    result = [expectation(reading, mentioned, gold) for reading in readings().values()]
    assert result == [exact, by_set, by_mentions]


@every_reading
@pytest.mark.parametrize(("mentioned", "gold"), CASES)
def test_simulation_agrees_with_expectation(name: str, mentioned: Contents, gold: Contents) -> None:
    """20,000 predictions are right as often as expected (two-sided, level 1e-4, fixed seed)."""
    reading, size, source = readings()[name], 20_000, draws(77)
    p = float(expectation(reading, mentioned, gold))
    hits = sum(is_right(reading, predict(reading, source, mentioned), gold) for _ in range(size))
    z = (hits - size * p) / sqrt(size * p * (1 - p))
    assert abs(z) < NormalDist().inv_cdf(1 - LEVEL / 2)


@every_reading
def test_simulation_of_whole_states_agrees_with_baseline(name: str, vocabulary: Contents) -> None:
    """Predictions for the queries of 40 states are right as often as the baseline says (1e-4)."""
    states = list(generate("dev", 1, vocabulary))[::71]
    reading, source, repeats = readings()[name], draws(78), 80
    expected, variance, hits = 0.0, 0.0, 0
    for state in states:
        for query, mentioned in zip(state.queries, mentions(state), strict=True):
            p = float(expectation(reading, mentioned, query.gold))
            expected += repeats * p
            variance += repeats * p * (1 - p)
            for _ in range(repeats):
                hits += is_right(reading, predict(reading, source, mentioned), query.gold)
    assert abs(hits - expected) / sqrt(variance) < NormalDist().inv_cdf(1 - LEVEL / 2)
    overall = 100 * expected / repeats / sum(len(state.queries) for state in states)
    assert baselines(states)[name]["overall"] == pytest.approx(overall)


@every_reading
def test_prediction_without_mentions_is_nothing(name: str) -> None:
    """A box without mentioned objects is always predicted to be empty."""
    source = draws(0)
    assert all(predict(readings()[name], source, ()) == () for _ in range(20))


@every_reading
def test_prediction_has_at_most_three_objects(name: str) -> None:
    """Predictions have zero to three objects; only ``mentions`` repeats objects."""
    source = draws(1)
    mentioned = ("a", "b", "c", "d", "e", "e")
    predictions = [predict(readings()[name], source, mentioned) for _ in range(500)]
    assert {len(prediction) for prediction in predictions} == {0, 1, 2, 3}
    assert set().union(*predictions) == set("abcde")
    repeated = any(len(set(prediction)) < len(prediction) for prediction in predictions)
    assert repeated is (name == "mentions")


def test_order_counts_for_exact_alone() -> None:
    """The same objects in another order are right as a set, and wrong as a text."""
    rights = [is_right(reading, ("b", "a"), ("a", "b")) for reading in readings().values()]
    assert rights == [False, True, True]


def test_mentions_keep_repeats() -> None:
    """Every clause that names the box counts, both ends of a move included."""
    assert mentions(parse_state(0, DESCRIPTION)) == (
        ("bag", "map", "bag", "car"),
        (),
        ("coat", "bag", "bag", "pin"),
        ("bag",),
        (),
        (),
        ("car", "car"),
    )


@given(sequence=st.from_type(Sequence))
def test_mentions_are_those_found_in_the_text(sequence: Sequence) -> None:
    """The mentioned objects are those in the clauses of the text with the box's name."""
    *_, state = states(sequence.sample_id, sequence.initial, sequence.operations)
    clauses = re.split(r"[,.] ?", state.description)
    for box, mentioned in enumerate(mentions(state)):
        named = [part for part in clauses if f"Box {box}" in part]
        assert Counter(mentioned) == Counter(re.findall(r"\bthe (\w+)", " ".join(named)))


@every_reading
def test_baseline_averages_over_queries(name: str, vocabulary: Contents) -> None:
    """Percentages are plain means over queries: all, numops >= 1, and each numops."""
    states = list(generate("dev", 2, vocabulary))[::101]
    chances: dict[int, list[float]] = {}
    for state in states:
        for query, mentioned in zip(state.queries, mentions(state), strict=True):
            chance = 100 * float(enumerated(name, mentioned, query.gold))
            chances.setdefault(query.numops, []).append(chance)
    result = baselines(states)[name]
    assert list(result["by_numops"]) == [str(numops) for numops in sorted(chances)]
    for numops, group in chances.items():
        assert result["by_numops"][str(numops)] == pytest.approx(np.mean(group))
    changed = [chance for numops, group in chances.items() if numops for chance in group]
    assert result["overall"] == pytest.approx(np.mean(changed + chances[0]))
    assert result["nontrivial"] == pytest.approx(np.mean(changed))


def test_baseline_of_untouched_boxes_has_no_nontrivial_accuracy() -> None:
    """Without queries with numops >= 1, their accuracy is None."""
    untouched = parse_state(0, DESCRIPTION[: DESCRIPTION.index(" Move")])
    result = baselines([untouched])
    # Four empty boxes are right, two of one object are 3/4; the box of two is 1/4 in the gold
    # order, 1/2 in any, and (1/4)(2/4 + 6/8) where an object can be drawn twice.
    for name, of_two in (("exact", 0.25), ("set", 0.5), ("mentions", 0.3125)):
        assert result[name]["nontrivial"] is None
        assert result[name]["overall"] == pytest.approx(100 * (4 + of_two + 2 * 0.75) / 7)
        assert result[name]["by_numops"] == {"0": result[name]["overall"]}


def test_a_document_has_the_first_reading_and_the_others_beneath() -> None:
    """The keys of a document are those of the first reading, and the names of the others."""
    result = baselines([parse_state(0, DESCRIPTION)])
    document = baselines_as_json(result)
    assert list(document) == ["overall", "nontrivial", "by_numops", "set", "mentions"]
    assert {name: document[name] for name in result["exact"]} == result["exact"]
    assert (document["set"], document["mentions"]) == (result["set"], result["mentions"])
