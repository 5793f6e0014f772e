"""How far log-probabilities moved, against a naive calculation."""

import math
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.regression.logits import (
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
        one = sum(math.exp(p[i]) * (p[i] - q[i]) for i in both)
        rest_p, rest_q = (1 - sum(math.exp(r[i]) for i in both) for r in (p, q))
        divergence += max(0.0, one + rest_p * math.log(rest_p / rest_q))
        if before[0][0] != after[0][0]:
            break
    return largest, divergence


@given(PLACES, PLACES)
def test_shift_is_that_of_the_naive_calculation(old: list[Place], new: list[Place]) -> None:
    """Tokens that both have are compared, up to the place after which the answers part."""
    found = shift(_logits(old).state(0), _logits(new).state(0))
    largest, divergence = _naive(old, new)
    assert found.largest == pytest.approx(largest, abs=2 * RESOLUTION)
    assert found.divergence == pytest.approx(divergence, abs=0.02)


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
