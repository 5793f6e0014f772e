"""Numbers that every test and interval shares."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
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

NORMAL_80 = 0.8416212335729143
"""The 80 % quantile of the standard normal distribution, that of :data:`POWER`."""

MIN_CLUSTERS_TO_REJECT = 5
"""Fewest clusters with which an exact one-sided sign-flip test can reject at 5 %: 1/2**5 = 3.1 %.

With fewer, the verdict on a gain is always undecided.
"""

MIN_CLUSTERS_FOR_INTERVAL = 12
"""Fewest clusters for which the interval of a difference is shown.

Its variance is estimated from the clusters. Simulated, its coverage is at least 93 % from here on
(``docs/statistics.md``).
"""

MIN_CLUSTERS_TO_BE_SURE = 20
"""Fewest clusters with which a test that is not exact may call a difference significant.

Such tests estimate a variance and rely on an approximate distribution. Simulated, their level is at
most 5 % from here on (``docs/statistics.md``).
"""

FEW_STATES = 64
"""Comparisons warn about fewer states: only large effects are found with them."""

FEW_CLUSTERS = 15
"""With fewer clusters that deviate from the rest, an interval adds pseudo-clusters.

Rare deviations are likely to be missed by a sample. Simulated with whole sequences wrong, 10 is not
enough for a coverage of 93 %.
"""

SAME_MARGIN = 0.01
"""Default margin of "nothing changed", the share of outcomes that a snapshot lets change."""

CLOSE_MARGIN = 0.05
"""Margin of "as published": what the audit reads as close (``docs/audit.md``)."""

POWER = 0.8
"""Power at which the smallest detectable effect is stated."""

SEED = 20240531
"""Seed of random signs and resamples: the same outcomes have the same p-values."""


def fresh_rng() -> "np.random.Generator":
    """Return a generator for one test, always in the same state."""
    import numpy as np

    return np.random.Generator(np.random.PCG64(SEED))
