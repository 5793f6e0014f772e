"""Numbers that every test and interval shares."""

import numpy as np

LEVEL = 0.05
"""Significance level of a difference, for one-sided and two-sided tests alike."""

RECORD_LEVEL = 0.001
"""Two-sided level at which a measurement differs from a record or a published figure.

A reproduction of all models makes about 80 comparisons with published figures and 112 with
records, which are correlated. At this level one complete run in twelve exceeds it by chance.
"""

NORMAL_975 = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""

SEED = 20240531
"""Seed of random signs and resamples: the same outcomes give the same p-values."""


def fresh_rng() -> np.random.Generator:
    """Return a generator for one test, always in the same state."""
    return np.random.Generator(np.random.PCG64(SEED))
