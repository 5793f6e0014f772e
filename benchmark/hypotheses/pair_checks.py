"""Checks of pairs: which variant gains, by how much, and at which numops.

Accuracies are at numops >= 1 unless a check says otherwise.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from math import inf
from typing import Literal

from pydantic import Field, model_validator

from benchmark.hypotheses.checks import (
    Check,
    RequiredResult,
    finding_of,
    holm_findings,
    missing_pair,
    model_name,
    required_for_pairs,
)
from benchmark.hypotheses.evidence import AccuracyDifference, Evidence
from benchmark.hypotheses.findings import Finding, FindingGroup
from benchmark.hypotheses.results import (
    ALL,
    NONTRIVIAL,
    Queries,
    Result,
    numops_above,
    numops_equal,
)
from benchmark.models.registry import registry
from benchmark.models.validation import Items
from benchmark.stats.decision import WITHIN_ERROR, within
from benchmark.stats.points import signed

Direction = Literal["gain", "loss", "no gain"]

_HOLDS: dict[Direction, Callable[[AccuracyDifference], bool]] = {
    "gain": lambda difference: difference.points > 0,
    "loss": lambda difference: difference.points < 0,
    "no gain": lambda difference: difference.points <= 0,
}


class PairsCheck(Check):
    """A check of pairs."""

    pairs: Items[str] = Field(min_length=1)

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
        figure = signed(difference.points)
        return finding_of(_variant_name(pair_id), figure, difference, holds=holds, p=p_value)


class GainsAtEach(PairsCheck):
    """Every variant gains, loses, or does not gain on its base at each of the numops.

    P-values are adjusted over all pairs and numops of the check.
    """

    check: Literal["gains_at_each"]
    numops: Items[int] = Field(min_length=1)
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
    """No variant is above its base by more than ``points``; ``either_way``: nor below it.

    The whole 95 % interval must be on one side of the limit, since an absence of evidence is not
    evidence of a small gain. ``numops`` restricts the queries to one number of operations.
    """

    check: Literal["small_gain"]
    points: float = Field(gt=0)
    either_way: bool = False
    numops: int | None = None

    def groups(self, evidence: Evidence) -> list[FindingGroup]:
        """Return one finding per pair."""
        return [self.group(self._finding(evidence, pair_id) for pair_id in self.pairs)]

    def _finding(self, evidence: Evidence, pair_id: str) -> Finding:
        queries = NONTRIVIAL if self.numops is None else numops_equal(self.numops)
        difference = evidence.pair_difference(pair_id, queries)
        if difference is None:
            return missing_pair(pair_id)
        least = -self.points if self.either_way else -inf
        small = least <= difference.points <= self.points
        at = "" if self.numops is None else f" at {self.numops}"
        figure = f"{signed(difference.points)} (limit {self.points:g})"
        doubt = self._doubt(difference, least)
        return Finding(f"{_variant_name(pair_id)}{at}", figure, small, doubt, difference)

    def _doubt(self, difference: AccuracyDifference, least: float) -> str:
        """Return why the interval does not decide; empty if it does."""
        decision, interval = difference.decision, difference.interval
        if interval is None:
            return f"no interval: {decision.effect.no_interval}"
        if decision.doubt or within(interval, least, self.points) != "undecided":
            return decision.doubt
        limit = "limits" if self.either_way else "limit"
        words = decision.effect.interval_words
        return f"interval {words} crosses the {limit} of {self.points:g}"


class BaseAheadAtMost(Check):
    """The base is above the variant at more than half of the numops."""

    check: Literal["base_ahead_at_most"]
    pair: str
    numops: Items[int] = Field(min_length=1)

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
        return [self.group([Finding(base, figure, most, "" if sure else WITHIN_ERROR)])]


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
        total = evidence.pair_difference(self.pair, ALL)
        if difference is None or total is None:
            return [self.group([missing_pair(self.pair)])]
        share = f"{100 * difference.after / total.points:.0f} %" if total.points > 0 else "no gain"
        figure = f"{share} at numops 0 to {self.up_to}"
        holds = total.points > 0 and difference.points > 0
        # Without a gain there is nothing to share; otherwise the share decides.
        decisive = difference if total.points > 0 else total
        finding = finding_of(model_name(pair.variant), figure, decisive, holds=holds)
        if holds and total.decision.verdict != "supported":
            finding = replace(finding, doubt=total.decision.reason)
        return [self.group([finding])]


class ShrinkingGain(PairsCheck):
    """Each pair gains more than the next."""

    check: Literal["shrinking_gain"]

    def groups(self, evidence: Evidence) -> list[FindingGroup]:
        """Return one finding per pair but the last, with p-values adjusted over them."""
        return [self.group(_larger_gains(evidence, list(pairwise(self.pairs))))]


class LargerGain(PairsCheck):
    """Each pair gains more than one other pair, or than the pair at the same place of ``than``."""

    check: Literal["larger_gain"]
    than: str | Items[str]

    @model_validator(mode="after")
    def _lengths(self) -> "LargerGain":
        if not isinstance(self.than, str) and len(self.than) != len(self.pairs):
            raise ValueError("than: one pair, or as many as there are pairs")
        return self

    def required_results(self) -> list[RequiredResult]:
        """Return the results of both models of each pair and of the other pairs."""
        return required_for_pairs(pair for step in self._steps() for pair in step)

    def groups(self, evidence: Evidence) -> list[FindingGroup]:
        """Return one finding per pair, with p-values adjusted over them."""
        return [self.group(_larger_gains(evidence, self._steps()))]

    def _steps(self) -> list[tuple[str, str]]:
        others = [self.than] * len(self.pairs) if isinstance(self.than, str) else self.than
        return list(zip(self.pairs, others, strict=True))


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
    families = {model.name.removesuffix(model.size) for model in (first, second)}
    other = second.size if len(families) == 1 else second.name
    figure = f"{signed(difference.after)} over {other} {signed(difference.before)}"
    return replace(finding, figure=figure)
