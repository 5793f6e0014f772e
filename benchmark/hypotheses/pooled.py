"""The pooled effect of each experiment: of code, of math, and of alignment."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

from benchmark.hypotheses.evidence import doubt_of_counts
from benchmark.hypotheses.results import NONTRIVIAL, Result, Results
from benchmark.models.registry import registry
from benchmark.models.registry_types import Pair, Training
from benchmark.stats.constants import MIN_CLUSTERS_TO_BE_SURE
from benchmark.stats.decision import Decision
from benchmark.stats.points import signed_points
from benchmark.stats.pooled import FEWEST_PAIRS, PooledEffect, pooled_counts, pooled_outcomes
from benchmark.stats.published import holm

_PER_PAIR = 5
"""Sequences per pair from which on the covariance between the pairs is estimated from outcomes.

Its inverse weights the pairs. With n sequences and k pairs it is too large by a factor of about
n / (n - k), for few sequences wildly.
"""


@dataclass(frozen=True, slots=True)
class PooledExperiment:
    """The pooled effect of an experiment, with a p-value adjusted by Holm over the experiments.

    ``decision`` is whether the mean effect is not zero.
    """

    experiment: Training
    effect: PooledEffect
    decision: Decision

    def words(self) -> str:
        """Return effect, interval, adjusted p-value and heterogeneity in two lines."""
        effect = self.decision.effect
        return (
            f"{self.experiment}: {signed_points(effect.value)} points "
            f"(95 % interval {effect.interval_words}), p = {self.decision.p:.2g}, "
            f"{self.effect.pairs} pairs\n  {self.effect.heterogeneity()}"
        )

    def as_json(self) -> dict[str, object]:
        """Return the effect, the decision by the adjusted p-value, and the heterogeneity."""
        return {
            "experiment": self.experiment,
            **self.effect.as_json(),
            "verdict": self.decision.verdict,
            "reason": self.decision.reason,
            "p_adjusted": float(f"{self.decision.p:.3g}"),
        }


def pooled_experiments(
    results: Results, pairs: Iterable[Pair] | None = None
) -> list[PooledExperiment]:
    """Return the pooled effects of the paper's pairs at numops >= 1, by experiment.

    The score is ``exact``. An experiment of which fewer than three pairs have results is left out.
    Outcomes of the same states are pooled by sequence, others by counts with the stated design
    effect.

    Args:
        results: the results of the models.
        pairs: pairs of which the paper's are pooled; by default those of the benchmark's registry.
    """
    by_exact = results.by("exact")
    paper = [p for p in (registry().pairs.values() if pairs is None else pairs) if p.paper]
    effects = {
        name: _pooled([pair for pair in paper if pair.experiment == name], by_exact)
        for name in get_args(Training)
    }
    pooled = {name: effect for name, effect in effects.items() if effect}
    decisions = [effect.differs(doubt=doubt) for effect, doubt in pooled.values()]
    adjusted = holm([decision.p for decision in decisions])
    return [
        PooledExperiment(name, effect, decision.with_p(p))
        for (name, (effect, _)), decision, p in zip(
            pooled.items(), decisions, adjusted, strict=True
        )
    ]


def _pooled(experiment: Sequence[Pair], results: Results) -> tuple[PooledEffect, str] | None:
    """Return the pooled effect, and why it may not be called significant, if so."""
    pairs = [(pair.base, pair.variant) for pair in experiment]
    models = {key: results.of(key) for pair in pairs for key in pair}
    measured = {
        key: result for key, result in models.items() if result and result.tally(NONTRIVIAL).total
    }
    pairs = [
        (base, variant)
        for base, variant in pairs
        if measured.keys() >= {base, variant} and measured[base].score == measured[variant].score
    ]
    if len(pairs) < FEWEST_PAIRS:
        return None
    used = {key: measured[key] for pair in pairs for key in pair}
    if _paired(list(used.values()), max(MIN_CLUSTERS_TO_BE_SURE, _PER_PAIR * len(pairs))):
        return pooled_outcomes(pairs, {key: one.outcomes or () for key, one in used.items()}), ""
    counts = pooled_counts(pairs, {key: one.tally(NONTRIVIAL) for key, one in used.items()})
    return counts, doubt_of_counts(list(used.values()))


def _paired(results: Sequence[Result], needed: int) -> bool:
    """Return whether all outcomes are known, on the same states of enough sequences."""
    if len({(result.data, result.score) for result in results}) > 1:
        return False
    sequences = {outcome.sample_id for outcome in results[0].outcomes or ()}
    return all(r.outcomes for r in results) and len(sequences) >= needed
