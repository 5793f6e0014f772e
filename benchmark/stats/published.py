"""Tests of counts: the paper's results, whose queries cannot be paired.

Counts hide both the pairing and the clusters. The pairing cannot be recovered, which costs power.
For the clusters, the binomial variance is multiplied by a stated design effect.
"""

from dataclasses import dataclass
from math import erfc, hypot, inf, sqrt
from statistics import NormalDist

from benchmark.records import Tally
from benchmark.stats import decision
from benchmark.stats.constants import (
    CLOSE_MARGIN,
    LEVEL,
    NORMAL_80,
    NORMAL_975,
    POWER,
    RECORD_LEVEL,
)
from benchmark.stats.decision import Decision, Effect
from benchmark.stats.differences import ClusteredDifference
from benchmark.stats.intervals import (
    Interval,
    student_quantile,
    student_two_sided,
    student_upper_tail,
)

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

    def differs(self, level: float = LEVEL, doubt: str = "") -> Decision:
        """Decide whether the models differ; ``doubt`` is why the counts may not decide."""
        missing = "" if self.error else "all answers agree"
        effect = Effect(self.difference, self.interval, missing, self.detectable, missing)
        return decision.difference(effect, self.two_sided, level, doubt)

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


def unpaired_equality(
    base: Tally,
    variant: Tally,
    margin: float = CLOSE_MARGIN,
    level: float = LEVEL,
    doubt: str = "",
    design_effect: float = DESIGN_EFFECT,
) -> Decision:
    """Decide whether two accuracies, known by counts, differ by less than a margin (a share).

    The variance is not pooled, since the claim is about a difference. A success and a failure are
    added to the effective numbers of both, as Agresti and Caffo do, so that counts without an error
    are not certain.
    """
    quantile = NormalDist().inv_cdf
    difference = variant.accuracy - base.accuracy
    error = sqrt(sum(_added_variance(tally, design_effect) for tally in (base, variant)))
    reach = quantile(1 - level) * error
    interval = Interval(max(-1.0, difference - reach), min(1.0, difference + reach))
    effect = Effect(difference, interval, "", (quantile(1 - level) + NORMAL_80) * error, "")
    p = _upper_tail((margin - abs(difference)) / error)
    return decision.equivalence(effect, p, margin, level, doubt)


def _added_variance(tally: Tally, design_effect: float) -> float:
    queries = tally.total / design_effect + 2
    rate = (tally.correct / design_effect + 1) / queries
    return rate * (1 - rate) / queries


@dataclass(frozen=True, slots=True)
class Departure:
    """A measured difference minus a published one (-2..2), with its standard error.

    ``degrees`` are the degrees of freedom of Student's t.
    """

    value: float
    error: float
    degrees: float

    @property
    def p(self) -> float:
        """Return the p-value of "the two differ"."""
        return student_two_sided(self.degrees, self.value / self.error)

    def differs(self, level: float = RECORD_LEVEL) -> Decision:
        """Decide whether the two differ."""
        return decision.difference(self._effect(level / 2), self.p, level)

    def is_equal(self, margin: float = CLOSE_MARGIN, level: float = LEVEL) -> Decision:
        """Decide whether the two differ by less than a margin."""
        p = student_upper_tail(self.degrees, (margin - abs(self.value)) / self.error)
        return decision.equivalence(self._effect(level), p, margin, level)

    def _effect(self, level: float) -> Effect:
        """Return the departure, with the interval and the power of one-sided tests at a level."""
        reach, power = (student_quantile(self.degrees, q) for q in (1 - level, POWER))
        ends = (self.value + sign * reach * self.error for sign in (-1, 1))
        return Effect(self.value, Interval(*ends), "", (reach + power) * self.error, "")


def departure_from(own: ClusteredDifference, published: UnpairedTest) -> Departure:
    """Return the departure of a measured difference from a published one.

    The degrees of freedom are Welch's; the published error counts as known, because it comes from
    a stated design effect.

    Raises:
        ValueError: if all sequences differ alike, so that the difference has no error.
    """
    if own.error is None:
        raise ValueError(own.no_interval)
    error = hypot(published.error, own.error)
    degrees = (own.clusters - 1) * (error / own.error) ** 4
    return Departure(own.value - published.difference, error, degrees)


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
