"""How far records of several processes are apart, stage by stage, on records made by hand."""

from dataclasses import replace
from types import ModuleType

import pytest

from benchmark.fingerprints.compare import compare
from benchmark.fingerprints.record import Allowed, AllowedSet, Fingerprint
from benchmark.upgrades.significance import chance, distance


def _constrained(
    record: Fingerprint, *sets: str, sizes: tuple[int, ...] = (7, 7, 7)
) -> Fingerprint:
    """The first state's answer of three tokens, under these sets; the other states as before."""
    assert record.allowed is not None
    made = (AllowedSet(name, size, 7) for name, size in zip(sets, sizes, strict=False))
    known = (*record.allowed.sets, *made)
    first = range(len(known) - len(sets), len(known))
    forbidden = [-1] * (3 - len(sets))
    along = ((*first, *forbidden), *record.allowed.along[1:])
    return replace(record, allowed=Allowed(known, along))


def test_nothing_apart(record: Fingerprint) -> None:
    """A record and itself."""
    found = compare(record, record)
    assert {distance(found, stage) for stage in record.stages} == {0.0}


def test_states_count(record: Fingerprint, hand: ModuleType) -> None:
    """Two of three states with other tokens; the weights, one for all, are other ones or not."""
    new = hand.restaged(hand.restaged(record, "prompt_ids", (0, 2)), "weights", (0,))
    found = compare(record, new)
    assert distance(found, "prompt_ids") == pytest.approx(2 / 3)
    assert distance(found, "weights") == 1.0
    assert distance(found, "prompt") == 0.0


@pytest.mark.parametrize(
    ("sets", "sizes", "apart"),
    [
        (("p", "q", "r"), (7, 7, 7), 0.0),
        (("x", "q", "r"), (7, 7, 7), 0.5),  # as many, but others
        (("p", "x", "r"), (7, 8, 7), 1.0),
        (("x", "x", "r"), (7, 8, 7), 1.5),
        (("p", "q"), (7, 7), 1.0),  # the third token is not allowed
        ((), (), 3.0),
    ],
)
def test_constraints_are_held_against_each_other_token_by_token(
    sets: tuple[str, ...], sizes: tuple[int, ...], apart: float, record: Fingerprint
) -> None:
    """One state of three, of three tokens."""
    base, other = _constrained(record, "p", "q", "r"), _constrained(record, *sets, sizes=sizes)
    assert distance(compare(base, other), "constraint") == pytest.approx(apart / 9)


def test_after_answers_part_nothing_is_held_against_each_other(record: Fingerprint) -> None:
    """Sets that follow another token say nothing; the one that the other token is from does."""
    base = _constrained(record, "p", "q", "r")
    other = replace(_constrained(record, "x", "q", "s"), path=((5, 9, 1), *record.path[1:]))
    assert distance(compare(base, other), "constraint") == pytest.approx(0.5 / 2 / 3)


def test_both_forbid_the_rest(record: Fingerprint) -> None:
    """What neither comes to does not count."""
    base, other = _constrained(record, "p"), _constrained(record, "x")
    assert distance(compare(base, other), "constraint") == pytest.approx(0.5 / 3)


def test_what_parts_always_at_the_first_token_is_no_chance(record: Fingerprint) -> None:
    """Each process has another constraint later; releases part at the first token, all of them."""
    old, new = (
        [_constrained(record, f"a{s}{n}", f"b{s}{n}", "r", sizes=(s, 7, 7)) for n in range(6)]
        for s in (5, 7)
    )
    assert chance(old, new, ["constraint", "prompt_ids"]) == {
        "constraint": pytest.approx(2 / 924),
        "prompt_ids": 1.0,
    }
    assert chance(old[:3], old[3:], ["constraint"]) == {"constraint": 1.0}


def test_a_stage_that_fails_is_as_far_as_can_be(record: Fingerprint, hand: ModuleType) -> None:
    """Whatever the states; one that failed in the same words in both is not apart."""
    broken = replace(
        record,
        stages={**record.stages, "constraint": replace(record.stages["constraint"], failed="no")},
    )
    assert distance(compare(record, broken), "constraint") == 1.0
    assert distance(compare(broken, broken), "constraint") == 0.0
