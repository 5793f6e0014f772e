"""Levels of the tests under the null, with clusters as in the evaluated set."""

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmark.records import Tally
from benchmark.stats.paired import sign_flip_test
from benchmark.stats.published import DESIGN_EFFECT, holm, unpaired_test

LEVEL = 0.05
SIZES = np.array([7] * 340 + [14] * 120 + [21] * 40)
"""Queries per sequence: 500 sequences, 700 states."""

Counts = NDArray[np.int64]


def _allowed(samples: int) -> float:
    """Return the level plus three Monte-Carlo standard errors."""
    return LEVEL + 3 * float(np.sqrt(LEVEL * (1 - LEVEL) / samples))


def _correct(rng: np.random.Generator, accuracy: float, concentration: float) -> Counts:
    """Return correct queries per sequence; the rate varies between sequences."""
    rates = rng.beta(concentration * accuracy, concentration * (1 - accuracy), size=len(SIZES))
    return rng.binomial(SIZES, rates)


def _design_effect(correct: Counts) -> float:
    """Return the clustered variance of an accuracy over the variance of independent queries."""
    p = correct.sum() / SIZES.sum()
    clustered = ((correct - SIZES * p) ** 2).sum() / SIZES.sum() ** 2
    return float(clustered / (p * (1 - p) / SIZES.sum()))


@pytest.mark.parametrize("accuracy", [0.1, 0.4, 0.9])
def test_unpaired_test_under_the_null(accuracy: float) -> None:
    """The test of counts holds its level with the stated design effect, and not with 1."""
    rng = np.random.default_rng(1)
    samples, total = 1000, int(SIZES.sum())
    alarms = naive = 0
    effects = []
    for _ in range(samples):
        one, other = (_correct(rng, accuracy, 10.5) for _ in range(2))
        effects.append(_design_effect(one))
        base, variant = (Tally(int(counts.sum()), total) for counts in (one, other))
        alarms += unpaired_test(base, variant).two_sided < LEVEL
        naive += unpaired_test(base, variant, design_effect=1.0).two_sided < LEVEL
    assert DESIGN_EFFECT - 0.2 < np.mean(effects) < DESIGN_EFFECT
    assert alarms / samples <= _allowed(samples)
    assert naive / samples > 2 * LEVEL


def test_holm_over_the_pairs_of_an_experiment() -> None:
    """Of experiments with five pairs and no gain, at most 5 % show one after correction."""
    rng = np.random.default_rng(2)
    samples = 200
    claimed = uncorrected = 0
    for _ in range(samples):
        p_values = []
        for _ in range(5):
            shared = rng.beta(3.0, 4.5, size=len(SIZES))
            base, variant = (rng.binomial(SIZES, shared) for _ in range(2))
            p_values.append(sign_flip_test(variant - base, rng, resamples=399)[0])
        claimed += min(holm(p_values)) < LEVEL
        uncorrected += min(p_values) < LEVEL
    assert claimed / samples <= _allowed(samples)
    assert uncorrected / samples > 2 * LEVEL
