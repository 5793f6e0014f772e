"""Differences of log-probabilities, compared with a naive version."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.fingerprints.logits import (
    LOWEST,
    RESOLUTION,
    Logits,
    concatenate_states,
    log_probability,
    logit_diff,
    rounded,
)
from fakes.fake_fingerprints import fake_logits

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
    return concatenate_states([ids], [np.array([[v for _, v in place] for place in places])])


def _naive(old: list[Place], new: list[Place]) -> tuple[float, float]:
    """Return the largest difference and the summed KL, up to the first diverging position."""
    largest, divergence = 0.0, 0.0
    for before, after in zip(old, new, strict=False):
        p, q = dict(before), dict(after)
        both = p.keys() & q.keys()
        largest = max([largest, *(abs(p[i] - q[i]) for i in both)])
        for here, there in ((before, after), (after, before)):
            recorded = [i for i, _ in there]
            least = min(value for _, value in there[1:])
            largest = max([largest, *(value - least for i, value in here if i not in recorded)])
        one = sum(math.exp(p[i]) * (p[i] - q[i]) for i in both)
        rest_p, rest_q = (1 - sum(math.exp(r[i]) for i in both) for r in (p, q))
        divergence += max(0.0, one + rest_p * math.log(rest_p / rest_q))
        if before[0][0] != after[0][0]:
            break
    return largest, divergence


@given(PLACES, PLACES)
def test_logit_diff_equals_a_naive_version(old: list[Place], new: list[Place]) -> None:
    """Tokens are compared up to where answers diverge, missing tokens by their bounds."""
    difference = logit_diff(_logits(old).state(0), _logits(new).state(0))
    largest, divergence = _naive(old, new)
    assert difference.largest == pytest.approx(largest, abs=2 * RESOLUTION)
    assert difference.divergence == pytest.approx(divergence, abs=0.02)


def _kept(values: list[float], recorded: int, others: int = 3) -> Place:
    """Return the recorded token and the likeliest others of a full distribution."""
    rest = sorted((i for i in range(len(values)) if i != recorded), key=lambda i: -values[i])
    return [(i, values[i]) for i in (recorded, *rest[:others])]


WHOLE = st.lists(st.floats(-12, -1), min_size=8, max_size=8)


@given(WHOLE, st.lists(st.floats(-2, 2), min_size=8, max_size=8), st.integers(0, 7))
def test_difference_is_a_lower_bound(values: list[float], by: list[float], recorded: int) -> None:
    """Whichever tokens are recorded, the difference is at most the true one."""
    changed = [value + change for value, change in zip(values, by, strict=True)]
    difference = logit_diff(
        _logits([_kept(values, recorded)]).state(0), _logits([_kept(changed, recorded)]).state(0)
    )
    truth = max(abs(change) for change in by)
    assert abs(by[recorded]) - 2 * RESOLUTION <= difference.largest <= truth + 2 * RESOLUTION


def test_missing_token_has_a_lower_bound() -> None:
    """A token that is no longer recorded changed at least to the least recorded value."""
    before = [-0.5, -1.5, -4.0, -4.5, -5.0, -6.0]
    after = [-0.5, -9.0, -4.0, -4.5, -5.0, -6.0]
    sides = [_logits([_kept(values, 0)]).state(0) for values in (before, after)]
    for difference in (logit_diff(*sides), logit_diff(*reversed(sides))):
        assert difference.largest == pytest.approx(3.5, abs=2 * RESOLUTION)


def test_swapped_tokens_at_the_edge_differ_by_noise() -> None:
    """Two tokens that swap ranks at the edge differ by no more than their change."""
    before = [-0.5, -3.0, -4.0, -5.0, -5.0005]
    after = [-0.5, -3.0, -4.0, -5.0005, -5.0]
    sides = [_logits([_kept(values, 0)]).state(0) for values in (before, after)]
    assert sides[0][0][0, 3] != sides[1][0][0, 3]
    assert logit_diff(*sides).largest <= 0.0005 + 2 * RESOLUTION


def test_equal_values_do_not_differ() -> None:
    """Equal values have difference and divergence 0."""
    logits = fake_logits()
    difference = logit_diff(logits.state(2), logits.state(2))
    assert (difference.largest, difference.divergence, difference.positions) == (0.0, 0.0, 4)


@given(st.floats(-50, 0))
def test_rounding_error_is_half_a_step(value: float) -> None:
    """Rounding changes a value by at most half a step."""
    steps = rounded(np.array([[value]]))
    assert abs(steps[0, 0] * RESOLUTION - value) <= RESOLUTION / 2


@pytest.mark.parametrize("value", [float("-inf"), float("nan"), -1e9])
def test_impossible_tokens_have_the_lowest_value(value: float) -> None:
    """Minus infinity, NaN and very low values are stored as the lowest one."""
    assert rounded(np.array([[value]]))[0, 0] * RESOLUTION == LOWEST


def test_unrecorded_token_has_no_value() -> None:
    """Only recorded tokens of existing positions have a log-probability."""
    logits = fake_logits()
    assert log_probability(logits, 2, 1, 8) == pytest.approx(-0.1, abs=RESOLUTION)
    assert log_probability(logits, 2, 1, 77) is None
    assert log_probability(logits, 0, 3, 5) is None
