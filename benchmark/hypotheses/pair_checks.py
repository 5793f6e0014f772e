"""Checks of pairs: which variant gains, by how much, and at which numops.

Accuracies are at numops >= 1 unless a check says otherwise.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

from pydantic import Field

from benchmark.hypotheses.checks import (
    Check,
    RequiredResult,
    holm_findings,
    missing_pair,
    model_name,
    required_for_pairs,
    signed_points,
)
from benchmark.hypotheses.evidence import AccuracyDifference, Evidence
from benchmark.hypotheses.findings import Finding, FindingGroup
from benchmark.hypotheses.results import NONTRIVIAL, Queries, Result, numops_above, numops_equal
from benchmark.models.registry import registry
from benchmark.stats.constants import LEVEL

Direction = Literal["gain", "loss", "no gain"]

_HOLDS: dict[Direction, Callable[[AccuracyDifference], bool]] = {
    "gain": lambda difference: difference.points > 0,
    "loss": lambda difference: difference.points < 0,
    "no gain": lambda difference: difference.points <= 0,
}


class PairsCheck(Check):
    """A check of pairs."""

    pairs: tuple[str, ...] = Field(min_length=1)

    def required_results(self) -> list[RequiredResult]:
        """Return the results of both models of each pair."""
        return required_for_pairs(self.pairs)


class Gains(PairsCheck):
    """Every variant (``some``: at least one) gains, loses, or does not gain on its base.

    P-values are adjusted over the paper's pairs of the experiment.
    """

    check: Literal["gains"]
    direction: Direction = "gain"
    some: bool = False

    def groups(self, evidence: Evidence) -> list[FindingGroup]:
        """Return one finding per pair."""
        findings = (self._finding(evidence, pair_id) for pair_id in self.pairs)
        return [self.group(findings, some=self.some)]

    def _finding(self, evidence: Evidence, pair_id: str) -> Finding:
        difference = evidence.pair_difference(pair_id)
        if difference is None:
            return missing_pair(pair_id)
        p_value = evidence.adjusted_p(pair_id)
        holds = _HOLDS[self.direction](difference)
        return Finding(
            _variant_name(pair_id),
            signed_points(difference.points),
            holds,
            p_value < LEVEL,
            difference,
            p_value,
        )


class GainsAtEach(PairsCheck):
    """Every variant gains, loses, or does not gain on its base at each of the numops.

    P-values are adjusted over all pairs and numops of the check.
    """

    check: Literal["gains_at_each"]
    numops: tuple[int, ...] = Field(min_length=1)
    direction: Direction = "gain"

    def groups(self, evidence: Evidence) -> list[FindingGroup]:
        """Return one finding per pair and numops."""
        cells = [
            (f"{_variant_name(pair_id)} at {n}", evidence.pair_difference(pair_id, numops_equal(n)))
            for pair_id in self.pairs
            for n in self.numops
        ]
        return [self.group(holm_findings(cells, _HOLDS[self.direction]))]


class SmallGain(PairsCheck):
    """No variant is above its base by more than ``points``; ``either_way``: nor below it."""

    check: Literal["small_gain"]
    points: float = Field(gt=0)
    either_way: bool = False

    def groups(self, evidence: Evidence) -> list[FindingGroup]:
        """Return one finding per pair; it is sure if the whole 95 % interval agrees."""
        return [self.group(self._finding(evidence, pair_id) for pair_id in self.pairs)]

    def _finding(self, evidence: Evidence, pair_id: str) -> Finding:
        difference = evidence.pair_difference(pair_id)
        if difference is None:
            return missing_pair(pair_id)
        least = -self.points if self.either_way else -100.0
        small = least <= difference.points <= self.points
        inside = least <= difference.low and difference.high <= self.points
        outside = difference.low > self.points or difference.high < least
        sure = inside if small else outside
        figure = f"{signed_points(difference.points)} (limit {self.points:g})"
        return Finding(_variant_name(pair_id), figure, small, sure, difference)


class BaseAheadAtMost(Check):
    """The base is above the variant at more than half of the numops."""

    check: Literal["base_ahead_at_most"]
    pair: str
    numops: tuple[int, ...] = Field(min_length=1)

    def required_results(self) -> list[RequiredResult]:
        """Return the results of both models."""
        return required_for_pairs([self.pair])

    def groups(self, evidence: Evidence) -> list[FindingGroup]:
        """Return one finding; it is sure if numops within error could not change it."""
        differences = [
            (str(n), evidence.pair_difference(self.pair, numops_equal(n))) for n in self.numops
        ]
        cells = holm_findings(differences, _HOLDS["loss"])
        half = len(cells) / 2
        ahead = [cell.sure for cell in cells if cell.holds]
        others = [cell.sure for cell in cells if cell.holds is False]
        most = len(ahead) > half
        if not most and len(others) < half:  # missing numops could still change it
            return [self.group([missing_pair(self.pair)])]
        base = model_name(registry().pair(self.pair).base)
        figure = f"ahead at {len(ahead)} of {len(cells)} ({sum(ahead)} beyond error)"
        sure = sum(ahead) > half if most else sum(others) >= half
        return [self.group([Finding(base, figure, most, sure)])]


class MostOfGain(Check):
    """More than half of the variant's gain on all queries is at numops up to ``up_to``."""

    check: Literal["most_of_gain"]
    pair: str
    up_to: int = Field(ge=0)

    def required_results(self) -> list[RequiredResult]:
        """Return the results of both models."""
        return required_for_pairs([self.pair])

    def groups(self, evidence: Evidence) -> list[FindingGroup]:
        """Return one finding: queries gained inside the range against queries gained outside."""
        pair = registry().pair(self.pair)
        base, variant = evidence.results.of(pair.base), evidence.results.of(pair.variant)
        if base is None or variant is None:
            return [self.group([missing_pair(self.pair)])]
        outside, inside = (
            [(1, variant, queries), (-1, base, queries)]
            for queries in (numops_above(self.up_to), Queries(self.up_to + 1))
        )
        difference = evidence.contrast(minus=outside, plus=inside)
        if difference is None:
            return [self.group([missing_pair(self.pair)])]
        gain = difference.before + difference.after
        share = f"{100 * difference.after / gain:.0f} %" if gain > 0 else "no gain"
        figure = f"{share} at numops 0 to {self.up_to}"
        holds = gain > 0 and difference.points > 0
        return [
            self.group(
                [Finding(model_name(pair.variant), figure, holds, difference.p < LEVEL, difference)]
            )
        ]


class ShrinkingGain(PairsCheck):
    """Each pair gains more than the next."""

    check: Literal["shrinking_gain"]

    def groups(self, evidence: Evidence) -> list[FindingGroup]:
        """Return one finding per pair but the last, with p-values adjusted over them."""
        return [self.group(_larger_gains(evidence, list(pairwise(self.pairs))))]


class LargerGain(PairsCheck):
    """Each pair gains more than one other pair."""

    check: Literal["larger_gain"]
    than: str

    def required_results(self) -> list[RequiredResult]:
        """Return the results of both models of each pair and of the other pair."""
        first, *rest = self.pairs
        return required_for_pairs([first, self.than, *rest])

    def groups(self, evidence: Evidence) -> list[FindingGroup]:
        """Return one finding per pair, with p-values adjusted over them."""
        return [self.group(_larger_gains(evidence, [(pair, self.than) for pair in self.pairs]))]


def _larger_gains(evidence: Evidence, steps: Sequence[tuple[str, str]]) -> list[Finding]:
    """Return one finding per step: the first pair gains more than the second."""
    differences = [(_base_name(first), _gains(evidence, second, first)) for first, second in steps]
    findings = holm_findings(differences, _HOLDS["gain"])
    return [_with_both_gains(finding, step) for finding, step in zip(findings, steps, strict=True)]


def _gains(evidence: Evidence, before: str, after: str) -> AccuracyDifference | None:
    """Return the gains of two pairs; None if a result is missing."""
    gains: list[list[tuple[int, Result, Queries]]] = []
    for pair in map(registry().pair, (before, after)):
        base, variant = evidence.results.of(pair.base), evidence.results.of(pair.variant)
        if base is None or variant is None:
            return None
        gains.append([(1, variant, NONTRIVIAL), (-1, base, NONTRIVIAL)])
    return evidence.contrast(*gains)


def _base_name(pair_id: str) -> str:
    return model_name(registry().pair(pair_id).base)


def _variant_name(pair_id: str) -> str:
    return model_name(registry().pair(pair_id).variant)


def _with_both_gains(finding: Finding, step: tuple[str, str]) -> Finding:
    """Return the finding with both gains instead of their difference."""
    first, second = (registry().model(registry().pair(pair_id).base) for pair_id in step)
    difference = finding.difference
    if difference is None:
        return missing_pair(step[1])
    other = second.size if first.size != second.size else second.name
    figure = f"{signed_points(difference.after)} over {other} {signed_points(difference.before)}"
    return Finding(finding.what, figure, finding.holds, finding.sure, difference, finding.p)
