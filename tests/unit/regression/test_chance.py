"""How far records of several processes are apart, stage by stage, on records made by hand."""

from dataclasses import replace
from types import ModuleType

import pytest

from benchmark.regression.chance import chance, distance
from benchmark.regression.comparison import compare
from benchmark.regression.record import Allowed, AllowedSet, Record


def _constrained(record: Record, *sets: str) -> Record:
    """The first state's answer of three tokens, under these sets; the other states as before."""
    assert record.allowed is not None
    known = (*record.allowed.sets, *(AllowedSet(each, 7, 7) for each in sets))
    first = tuple(range(len(known) - len(sets), len(known)))
    return replace(record, allowed=Allowed(known, (first, *record.allowed.along[1:])))


def test_nothing_apart(record: Record) -> None:
    """A record and itself."""
    found = compare(record, record)
    assert {distance(found, stage) for stage in record.stages} == {0.0}


def test_states_count(record: Record, hand: ModuleType) -> None:
    """Two of three states with other tokens; the weights, one for all, are other ones or not."""
    new = hand.restaged(hand.restaged(record, "tokens", (0, 2)), "weights", (0,))
    found = compare(record, new)
    assert distance(found, "tokens") == pytest.approx(2 / 3)
    assert distance(found, "weights") == 1.0
    assert distance(found, "prompt") == 0.0


def test_the_sooner_the_constraints_part_the_further_they_are(record: Record) -> None:
    """One state of three, from the first, second or third of its three tokens on."""
    base = _constrained(record, "p", "q", "r")
    others = (("x", "q", "r"), ("p", "x", "r"), ("p", "q", "x"))
    apart = [distance(compare(base, _constrained(record, *sets)), "constraint") for sets in others]
    assert apart == pytest.approx([1 / 3, 2 / 9, 1 / 9])


def test_what_parts_always_at_the_first_token_is_no_chance(record: Record) -> None:
    """Each process has another constraint later; releases part at the first token, all of them."""
    old, new = (
        [_constrained(record, first, f"{first}{n}", "r") for n in range(6)] for first in "ab"
    )
    assert chance(old, new, ["constraint", "tokens"]) == {
        "constraint": pytest.approx(2 / 924),
        "tokens": 1.0,
    }
    assert chance(old[:3], old[3:], ["constraint"]) == {"constraint": 1.0}


def test_a_stage_that_fails_is_as_far_as_can_be(record: Record, hand: ModuleType) -> None:
    """Whatever the states; one that failed in the same words in both is not apart."""
    broken = replace(
        record,
        stages={**record.stages, "constraint": replace(record.stages["constraint"], failed="no")},
    )
    assert distance(compare(record, broken), "constraint") == 1.0
    assert distance(compare(broken, broken), "constraint") == 0.0
