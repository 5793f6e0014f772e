"""How far log-probabilities moved, against a naive calculation."""

import math
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.fingerprints.logits import (
    LOWEST,
    RESOLUTION,
    Logits,
    joined,
    log_probability,
    rounded,
    shift,
)

Place = list[tuple[int, float]]

PLACES = st.lists(
    st.permutations(list(range(6))).flatmap(
        lambda ids: st.lists(st.floats(-9, -1.2), min_size=3, max_size=3).map(
            lambda values: list(zip(ids[:3], values, strict=True))
        )
    ),
    min_size=1,
    max_size=5,
)


def _logits(places: list[Place]) -> Logits:
    ids = np.array([[i for i, _ in place] for place in places], dtype=np.int32)
    return joined([ids], [np.array([[v for _, v in place] for place in places])])


def _naive(old: list[Place], new: list[Place]) -> tuple[float, float]:
    """Largest difference and summed KL over the common beginning and the place after it."""
    largest, divergence = 0.0, 0.0
    for before, after in zip(old, new, strict=False):
        p, q = dict(before), dict(after)
        both = p.keys() & q.keys()
        largest = max([largest, *(abs(p[i] - q[i]) for i in both)])
        for here, there in ((before, after), (after, before)):
            known = [i for i, _ in there]
            least = min(value for _, value in there[1:])
            largest = max([largest, *(value - least for i, value in here if i not in known)])
        one = sum(math.exp(p[i]) * (p[i] - q[i]) for i in both)
        rest_p, rest_q = (1 - sum(math.exp(r[i]) for i in both) for r in (p, q))
        divergence += max(0.0, one + rest_p * math.log(rest_p / rest_q))
        if before[0][0] != after[0][0]:
            break
    return largest, divergence


@given(PLACES, PLACES)
def test_shift_is_that_of_the_naive_calculation(old: list[Place], new: list[Place]) -> None:
    """Tokens are compared up to the place after which the answers part; the missing by bounds."""
    found = shift(_logits(old).state(0), _logits(new).state(0))
    largest, divergence = _naive(old, new)
    assert found.largest == pytest.approx(largest, abs=2 * RESOLUTION)
    assert found.divergence == pytest.approx(divergence, abs=0.02)


def _kept(values: list[float], recorded: int, others: int = 3) -> Place:
    """The recorded token and the likeliest others of a whole distribution."""
    rest = sorted((i for i in range(len(values)) if i != recorded), key=lambda i: -values[i])
    return [(i, values[i]) for i in (recorded, *rest[:others])]


WHOLE = st.lists(st.floats(-12, -1), min_size=8, max_size=8)


@given(WHOLE, st.lists(st.floats(-2, 2), min_size=8, max_size=8), st.integers(0, 7))
def test_never_more_than_what_moved(values: list[float], by: list[float], recorded: int) -> None:
    """Whatever comes and goes among those kept, the shift is no larger than the true one."""
    moved = [value + each for value, each in zip(values, by, strict=True)]
    found = shift(
        _logits([_kept(values, recorded)]).state(0), _logits([_kept(moved, recorded)]).state(0)
    )
    truth = max(abs(each) for each in by)
    assert abs(by[recorded]) - 2 * RESOLUTION <= found.largest <= truth + 2 * RESOLUTION


def test_a_token_that_drops_out_is_seen() -> None:
    """From second to nowhere is at least the way down to the least of those kept, both ways."""
    before = [-0.5, -1.5, -4.0, -4.5, -5.0, -6.0]
    after = [-0.5, -9.0, -4.0, -4.5, -5.0, -6.0]
    sides = [_logits([_kept(values, 0)]).state(0) for values in (before, after)]
    for found in (shift(*sides), shift(*reversed(sides))):
        assert found.largest == pytest.approx(3.5, abs=2 * RESOLUTION)


def test_a_tie_at_the_edge_is_no_alarm() -> None:
    """Two tokens that change places at the end of those kept moved by no more than they moved."""
    before = [-0.5, -3.0, -4.0, -5.0, -5.0005]
    after = [-0.5, -3.0, -4.0, -5.0005, -5.0]
    sides = [_logits([_kept(values, 0)]).state(0) for values in (before, after)]
    assert sides[0][0][0, 3] != sides[1][0][0, 3]
    assert shift(*sides).largest <= 0.0005 + 2 * RESOLUTION


def test_nothing_moved_is_nothing(hand: ModuleType) -> None:
    """The same values are no shift at all."""
    logits = hand.fake_logits()
    found = shift(logits.state(2), logits.state(2))
    assert (found.largest, found.divergence, found.positions) == (0.0, 0.0, 4)


@given(st.floats(-50, 0))
def test_values_are_kept_to_the_resolution(value: float) -> None:
    """Rounding changes a value by half a step at most."""
    steps = rounded(np.array([[value]]))
    assert abs(steps[0, 0] * RESOLUTION - value) <= RESOLUTION / 2


@pytest.mark.parametrize("value", [float("-inf"), float("nan"), -1e9])
def test_what_cannot_come_is_the_lowest(value: float) -> None:
    """Tokens of no probability, and what is no number, are kept as the lowest."""
    assert rounded(np.array([[value]]))[0, 0] * RESOLUTION == LOWEST


def test_a_token_that_was_not_kept_has_no_value(hand: ModuleType) -> None:
    """Only the kept tokens of positions that exist have a log-probability."""
    logits = hand.fake_logits()
    assert log_probability(logits, 2, 1, 8) == pytest.approx(-0.1, abs=RESOLUTION)
    assert log_probability(logits, 2, 1, 77) is None
    assert log_probability(logits, 0, 3, 5) is None
