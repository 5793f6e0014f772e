"""Pooled effect of several pairs of models: a random-effects model with correlated estimates.

Effects are ``y ~ N(mu, V + tau^2 I)``: each pair has an effect of its own, with variance
``tau^2`` around the mean ``mu``. ``V`` is the covariance of the estimates, which pairs that share a
model or the same states have in common. ``tau^2`` is that at which the generalized Q statistic is
its expectation (Paule and Mandel, "Consensus values and weighting factors", J. Res. Natl. Bur.
Stand. 87, 1982; DerSimonian and Kacker, Contemp. Clin. Trials 28, 2007). The mean is the
generalized least squares estimate, its reference Student's t with one degree of freedom less than
there are pairs, its variance at least that of the model (Knapp and Hartung, Stat. Med. 22, 2003;
Röver et al., BMC Med. Res. Methodol. 15, 2015).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from benchmark.records import Outcome, Tally
from benchmark.stats import decision
from benchmark.stats.constants import LEVEL, POWER
from benchmark.stats.decision import Decision, Effect
from benchmark.stats.intervals import Interval, student_quantile, student_two_sided
from benchmark.stats.published import DESIGN_EFFECT

FEWEST_PAIRS = 3
"""Fewest pairs that are pooled; two say next to nothing about the variance between pairs."""

_STEPS = 60
"""Halvings when searching the variance between pairs; its first bracket is at most 4."""

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PooledEffect:
    """The mean effect of several pairs (-1..1), and how much the pairs differ.

    Attributes:
        value: mean effect.
        error: standard error of the mean.
        pairs: number of pairs.
        q: weighted squares of the effects around their mean, without variance between pairs.
        q_p: p-value of "the pairs differ by more than their errors".
        i_squared: share of Q beyond its expectation (0..1).
        tau: standard deviation of the effects between pairs.
    """

    value: float
    error: float
    pairs: int
    q: float
    q_p: float
    i_squared: float
    tau: float

    def differs(self, level: float = LEVEL, doubt: str = "") -> Decision:
        """Decide whether the mean effect is not zero; not at all if there is a doubt."""
        degrees = self.pairs - 1
        reach, power = (student_quantile(degrees, q) for q in (0.975, POWER))
        ends = (self.value + sign * reach * self.error for sign in (-1, 1))
        detectable = (student_quantile(degrees, 1 - level / 2) + power) * self.error
        effect = Effect(self.value, Interval(*ends), "", detectable, "")
        return decision.difference(
            effect, student_two_sided(degrees, self.value / self.error), level, doubt
        )

    def heterogeneity(self) -> str:
        """Return Q, I squared and tau in words, tau in points."""
        p = "< 0.001" if self.q_p < 0.001 else f"= {self.q_p:.2g}"  # noqa: PLR2004  # customary
        return (
            f"Q = {self.q:.1f} ({self.pairs - 1} df, p {p}), "
            f"I\N{SUPERSCRIPT TWO} = {100 * self.i_squared:.0f} %, tau = {100 * self.tau:.1f}"
        )

    def as_json(self) -> dict[str, object]:
        """Return the decision, and the heterogeneity; shares in points."""
        return {
            **self.differs().as_json(),
            "error": round(100 * self.error, 2),
            "pairs": self.pairs,
            "q": round(self.q, 2),
            "q_p": float(f"{self.q_p:.3g}"),
            "i_squared": round(self.i_squared, 4),
            "tau": round(100 * self.tau, 2),
        }


def pool(effects: Matrix, covariance: Matrix) -> PooledEffect:
    """Return the pooled effect.

    Args:
        effects: shape (pairs,), differences of accuracies.
        covariance: shape (pairs, pairs), positive definite.

    Raises:
        ValueError: for fewer than :data:`FEWEST_PAIRS` pairs.
    """
    from scipy.special import chdtrc

    count = len(effects)
    if count < FEWEST_PAIRS:
        raise ValueError(f"{count} pairs, at least {FEWEST_PAIRS} needed")
    _, _, q = _weighted(effects, covariance, 0.0)
    tau_squared = _between(effects, covariance)
    value, variance, own_q = _weighted(effects, covariance, tau_squared)
    return PooledEffect(
        value,
        sqrt(variance * max(1.0, own_q / (count - 1))),
        count,
        q,
        float(chdtrc(count - 1, q)),
        max(0.0, (q - count + 1) / q) if q else 0.0,
        sqrt(tau_squared),
    )


def _weighted(
    effects: Matrix, covariance: Matrix, tau_squared: float
) -> tuple[float, float, float]:
    """Return mean, variance of the mean, and Q, for a variance between pairs."""
    weights = np.linalg.inv(covariance + tau_squared * np.eye(len(effects)))
    total = weights.sum()
    mean = float((weights @ effects).sum() / total)
    deviations = effects - mean
    return mean, float(1 / total), float(deviations @ weights @ deviations)


def _between(effects: Matrix, covariance: Matrix) -> float:
    """Return the variance between pairs at which Q is its expectation; 0 if Q is below it."""
    expected = len(effects) - 1
    if _weighted(effects, covariance, 0.0)[2] <= expected:
        return 0.0
    low, high = 0.0, 4.0  # effects are between -1 and 1
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _weighted(effects, covariance, middle)[2] > expected:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def pooled_counts(
    pairs: Sequence[tuple[str, str]],
    tallies: Mapping[str, Tally],
    design_effect: float = DESIGN_EFFECT,
) -> PooledEffect:
    """Pool pairs by the counts of their models, which are taken as independent.

    Pairs that share a model are correlated. A model's variance is binomial with a success and a
    failure added, times the design effect.

    Args:
        pairs: the names of base and variant of each pair.
        tallies: counts by name.
        design_effect: factor on the binomial variance.
    """
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    signs = np.zeros((len(pairs), len(names)))
    for row, (base, variant) in enumerate(pairs):
        signs[row, names.index(base)] -= 1
        signs[row, names.index(variant)] += 1
    rates = np.array([(tallies[n].correct + 1) / (tallies[n].total + 2) for n in names])
    totals = np.array([tallies[n].total for n in names])
    accuracies = np.array([tallies[n].accuracy for n in names])
    variances = design_effect * rates * (1 - rates) / totals
    return pool(signs @ accuracies, signs * variances @ signs.T)


def pooled_outcomes(
    pairs: Sequence[tuple[str, str]], outcomes: Mapping[str, Sequence[Outcome]]
) -> PooledEffect:
    """Pool pairs by outcomes on the same states, with sequences as clusters.

    The covariance of two pairs is that of their differences over the sequences, whether they share
    a model or only the states. A query gained and a query lost are added to each variance.

    Args:
        pairs: the names of base and variant of each pair.
        outcomes: outcomes at numops >= 1 and others, by name, on the same states.
    """
    first = next(iter(outcomes.values()))
    order = dict.fromkeys(state.sample_id for state in first)
    clusters = {sequence: row for row, sequence in enumerate(order)}
    sizes = np.zeros(len(clusters))
    for state in first:
        sizes[clusters[state.sample_id]] += sum(n >= 1 for n in state.numops)
    correct = {name: np.zeros(len(clusters)) for name in outcomes}
    for name, states in outcomes.items():
        for state in states:
            right = zip(state.numops, state.correct, strict=True)
            correct[name][clusters[state.sample_id]] += sum(ok for n, ok in right if n >= 1)
    differences = np.array([correct[variant] - correct[base] for base, variant in pairs])
    return pooled_differences(differences, sizes)


def pooled_differences(differences: Matrix, sizes: Matrix) -> PooledEffect:
    """Pool pairs by their differences per sequence.

    Args:
        differences: shape (pairs, clusters), gained minus lost queries.
        sizes: shape (clusters,), number of queries.
    """
    total, count = sizes.sum(), len(sizes)
    effects = differences.sum(axis=1) / total
    deviations = differences - np.outer(effects, sizes)
    squares = deviations @ deviations.T * count / (count - 1)
    return pool(effects, (squares + 2 * np.eye(len(differences))) / total**2)
