"""Tests where only counts are known: the paper's results, whose queries cannot be paired.

Counts hide both the pairing and the clusters. The pairing is lost for good, which costs power;
for the clusters a design effect is stated and the binomial variance multiplied by it.
"""

from dataclasses import dataclass
from math import erfc, inf, sqrt

from benchmark.records import Tally

DESIGN_EFFECT = 2.0
"""How much the variance of an accuracy exceeds the binomial one, by clustering.

Stated, since counts cannot give it: SmolLM2 on 64 states has 1.96 on the queries with numops >= 1.
"""

_Z = 1.959963984540054
"""The 97.5 % point of the normal distribution."""


@dataclass(frozen=True, slots=True)
class UnpairedTest:
    """The difference variant minus base, in accuracy (-1..1), with its standard error."""

    difference: float
    error: float

    @property
    def margin(self) -> float:
        """What the 95 % interval reaches to each side of the difference."""
        return _Z * self.error

    @property
    def greater(self) -> float:
        """The one-sided p-value of "the variant is better"."""
        return _upper_tail(self._score)

    @property
    def two_sided(self) -> float:
        """The p-value of "they differ"."""
        return min(1.0, 2 * _upper_tail(abs(self._score)))

    @property
    def _score(self) -> float:
        if self.error:
            return self.difference / self.error
        return 0.0 if not self.difference else inf * self.difference


def unpaired_test(
    base: Tally, variant: Tally, design_effect: float = DESIGN_EFFECT
) -> UnpairedTest:
    """Compare two accuracies by their counts alone, the pooled variance times the design effect."""
    pooled = (base.correct + variant.correct) / (base.total + variant.total)
    variance = design_effect * pooled * (1 - pooled) * (1 / base.total + 1 / variant.total)
    return UnpairedTest(variant.accuracy - base.accuracy, sqrt(variance))


def holm(p_values: list[float]) -> list[float]:
    """The p-values adjusted for being several, in their order.

    Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6 (1979).
    """
    several, highest = len(p_values), 0.0
    adjusted = [1.0] * several
    for rank, index in enumerate(sorted(range(several), key=p_values.__getitem__)):
        # None may fall below a smaller one's.
        highest = max(highest, min(1.0, (several - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def _upper_tail(score: float) -> float:
    return erfc(score / sqrt(2)) / 2
