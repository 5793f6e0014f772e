"""Tests of counts: the paper's results, whose queries cannot be paired.

Counts hide both the pairing and the clusters. The pairing cannot be recovered, which costs power.
For the clusters, the binomial variance is multiplied by a stated design effect.
"""

from dataclasses import dataclass
from math import erfc, hypot, inf, sqrt
from typing import NamedTuple

from benchmark.records import Tally
from benchmark.stats.constants import NORMAL_80, NORMAL_975, POWER, RECORD_LEVEL
from benchmark.stats.differences import ClusteredDifference
from benchmark.stats.intervals import Interval, student_quantile, student_two_sided

DESIGN_EFFECT = 2.0
"""Factor by which clustering raises the variance of an accuracy above the binomial variance.

Stated, because counts cannot show it: SmolLM2 on 64 states has 1.96 at numops >= 1.
"""


@dataclass(frozen=True, slots=True)
class UnpairedTest:
    """The difference variant minus base, in accuracy (-1..1), with its standard error."""

    difference: float
    error: float

    @property
    def margin(self) -> float:
        """Return half the width of the 95 % interval."""
        return NORMAL_975 * self.error

    @property
    def interval(self) -> Interval | None:
        """Return the 95 % interval, clipped to -1..1; None without a standard error.

        The error is zero if all answers of both models agree, which shows no uncertainty.
        """
        if not self.error:
            return None
        low, high = self.difference - self.margin, self.difference + self.margin
        return Interval(max(-1.0, low), min(1.0, high))

    @property
    def detectable(self) -> float | None:
        """Return the smallest difference found with power 80 %, two-sided at 5 %.

        None without a standard error.
        """
        return (NORMAL_975 + NORMAL_80) * self.error or None

    @property
    def greater(self) -> float:
        """Return the one-sided p-value of "the variant is better"."""
        return _upper_tail(self._score)

    @property
    def two_sided(self) -> float:
        """Return the p-value of "the models differ"."""
        return min(1.0, 2 * _upper_tail(abs(self._score)))

    @property
    def _score(self) -> float:
        if self.error:
            return self.difference / self.error
        return 0.0 if not self.difference else inf * self.difference


def unpaired_test(
    base: Tally, variant: Tally, design_effect: float = DESIGN_EFFECT
) -> UnpairedTest:
    """Compare two accuracies by counts, with the pooled variance times the design effect."""
    pooled = (base.correct + variant.correct) / (base.total + variant.total)
    variance = design_effect * pooled * (1 - pooled) * (1 / base.total + 1 / variant.total)
    return UnpairedTest(variant.accuracy - base.accuracy, sqrt(variance))


class Departure(NamedTuple):
    """A test of a measured difference against a published one.

    ``p`` is two-sided. ``detectable`` is the smallest departure that it finds with a power of 80 %.
    """

    p: float
    detectable: float


def departure_from(
    own: ClusteredDifference, own_error: float, published: UnpairedTest
) -> Departure:
    """Test a measured difference against a published one, at :data:`RECORD_LEVEL`.

    The reference is Student's t with Welch's degrees of freedom; the published error counts as
    known, because it comes from a stated design effect.
    """
    error = hypot(published.error, own_error)
    degrees = (own.clusters - 1) * (error / own_error) ** 4
    p_value = student_two_sided(degrees, (own.value - published.difference) / error)
    quantiles = (student_quantile(degrees, q) for q in (1 - RECORD_LEVEL / 2, POWER))
    return Departure(p_value, error * sum(quantiles))


def holm(p_values: list[float]) -> list[float]:
    """Return the p-values adjusted for multiple testing, in the same order.

    Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6 (1979).
    """
    count, highest = len(p_values), 0.0
    adjusted = [1.0] * count
    for rank, index in enumerate(sorted(range(count), key=p_values.__getitem__)):
        # Adjusted p-values keep the order of the raw ones.
        highest = max(highest, min(1.0, (count - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def _upper_tail(score: float) -> float:
    return erfc(score / sqrt(2)) / 2
