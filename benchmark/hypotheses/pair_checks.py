"""Checks about pairs: who gains, how much, where.

Accuracies are at numops >= 1 where a check does not say otherwise.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

from pydantic import Field

from benchmark.hypotheses.checks import Check, Need, family, name, no_pair, of_pairs, signed
from benchmark.hypotheses.evidence import AccuracyDifference, Evidence
from benchmark.hypotheses.findings import LEVEL, Finding, FindingGroup
from benchmark.hypotheses.results import NONTRIVIAL, Queries, Result, above, exactly
from benchmark.models.registry import registry

Direction = Literal["gain", "loss", "no gain"]

_HOLDS: dict[Direction, Callable[[AccuracyDifference], bool]] = {
    "gain": lambda found: found.points > 0,
    "loss": lambda found: found.points < 0,
    "no gain": lambda found: found.points <= 0,
}


class OfPairs(Check):
    """A part about pairs."""

    pairs: tuple[str, ...] = Field(min_length=1)

    def needs(self) -> list[Need]:
        """Both models of each pair."""
        return of_pairs(self.pairs)


class Gains(OfPairs):
    """Every variant (``some``: at least one) gains, loses, or does not gain on its base.

    P-values are adjusted over the paper's pairs of the experiment.
    """

    check: Literal["gains"]
    direction: Direction = "gain"
    some: bool = False

    def groups(self, evidence: Evidence) -> list[FindingGroup]:
        """A finding a pair."""
        findings = (self._finding(evidence, pair_id) for pair_id in self.pairs)
        return [self.group(findings, some=self.some)]

    def _finding(self, evidence: Evidence, pair_id: str) -> Finding:
        found = evidence.of_pair(pair_id)
        if found is None:
            return no_pair(pair_id)
        p_value = evidence.adjusted(pair_id)
        holds = _HOLDS[self.direction](found)
        return Finding(
            _variant(pair_id), signed(found.points), holds, p_value < LEVEL, found, p_value
        )


class GainsAtEach(OfPairs):
    """Every variant gains, loses, or does not gain on its base at each of the numops.

    P-values are adjusted over all of these.
    """

    check: Literal["gains_at_each"]
    numops: tuple[int, ...] = Field(min_length=1)
    direction: Direction = "gain"

    def groups(self, evidence: Evidence) -> list[FindingGroup]:
        """A finding a pair and numops."""
        cells = [
            (f"{_variant(pair_id)} at {n}", evidence.of_pair(pair_id, exactly(n)))
            for pair_id in self.pairs
            for n in self.numops
        ]
        return [self.group(family(cells, _HOLDS[self.direction]))]


class SmallGain(OfPairs):
    """No variant is above its base by more than so many points; ``either_way``: nor below."""

    check: Literal["small_gain"]
    points: float = Field(gt=0)
    either_way: bool = False

    def groups(self, evidence: Evidence) -> list[FindingGroup]:
        """A finding a pair; sure where the whole 95 % interval is on the same side."""
        return [self.group(self._finding(evidence, pair_id) for pair_id in self.pairs)]

    def _finding(self, evidence: Evidence, pair_id: str) -> Finding:
        found = evidence.of_pair(pair_id)
        if found is None:
            return no_pair(pair_id)
        least = -self.points if self.either_way else -100.0
        small = least <= found.points <= self.points
        inside = least <= found.low and found.high <= self.points
        outside = found.low > self.points or found.high < least
        sure = inside if small else outside
        figure = f"{signed(found.points)} (limit {self.points:g})"
        return Finding(_variant(pair_id), figure, small, sure, found)


class BaseAheadAtMost(Check):
    """The base is above the variant at more than half of the numops."""

    check: Literal["base_ahead_at_most"]
    pair: str
    numops: tuple[int, ...] = Field(min_length=1)

    def needs(self) -> list[Need]:
        """Both models."""
        return of_pairs([self.pair])

    def groups(self, evidence: Evidence) -> list[FindingGroup]:
        """One finding; sure where it stays so whatever becomes of the numops within error."""
        differences = [(str(n), evidence.of_pair(self.pair, exactly(n))) for n in self.numops]
        cells = family(differences, _HOLDS["loss"])
        half = len(cells) / 2
        ahead = [cell.sure for cell in cells if cell.holds]
        others = [cell.sure for cell in cells if cell.holds is False]
        most = len(ahead) > half
        if not most and len(others) < half:  # what is missing could still make it most
            return [self.group([no_pair(self.pair)])]
        base = name(registry().pair(self.pair).base)
        figure = f"ahead at {len(ahead)} of {len(cells)} ({sum(ahead)} beyond error)"
        sure = sum(ahead) > half if most else sum(others) >= half
        return [self.group([Finding(base, figure, most, sure)])]


class MostOfGain(Check):
    """More than half of what the variant gains on all queries is at numops up to a number."""

    check: Literal["most_of_gain"]
    pair: str
    up_to: int = Field(ge=0)

    def needs(self) -> list[Need]:
        """Both models."""
        return of_pairs([self.pair])

    def groups(self, evidence: Evidence) -> list[FindingGroup]:
        """One finding: queries gained inside against those gained outside."""
        pair = registry().pair(self.pair)
        base, variant = evidence.results.of(pair.base), evidence.results.of(pair.variant)
        if base is None or variant is None:
            return [self.group([no_pair(self.pair)])]
        outside, inside = (
            [(1, variant, queries), (-1, base, queries)]
            for queries in (above(self.up_to), Queries(self.up_to + 1))
        )
        found = evidence.combined(minus=outside, plus=inside)
        if found is None:
            return [self.group([no_pair(self.pair)])]
        gain = found.before + found.after
        share = f"{100 * found.after / gain:.0f} %" if gain > 0 else "no gain"
        figure = f"{share} at numops 0 to {self.up_to}"
        holds = gain > 0 and found.points > 0
        return [self.group([Finding(name(pair.variant), figure, holds, found.p < LEVEL, found)])]


class ShrinkingGain(OfPairs):
    """Each pair gains more than the next."""

    check: Literal["shrinking_gain"]

    def groups(self, evidence: Evidence) -> list[FindingGroup]:
        """A finding per pair but the last, their p-values adjusted over these."""
        return [self.group(_larger_gains(evidence, list(pairwise(self.pairs))))]


class LargerGain(OfPairs):
    """Each pair gains more than a single other one."""

    check: Literal["larger_gain"]
    than: str

    def needs(self) -> list[Need]:
        """Both models of each pair and of that one."""
        first, *rest = self.pairs
        return of_pairs([first, self.than, *rest])

    def groups(self, evidence: Evidence) -> list[FindingGroup]:
        """A finding per pair, their p-values adjusted over these."""
        return [self.group(_larger_gains(evidence, [(each, self.than) for each in self.pairs]))]


def _larger_gains(evidence: Evidence, steps: Sequence[tuple[str, str]]) -> list[Finding]:
    """A finding per step from a pair to another: the first gains more than the second."""
    differences = [(_base(first), _gains(evidence, second, first)) for first, second in steps]
    findings = family(differences, _HOLDS["gain"])
    return [_over(finding, step) for finding, step in zip(findings, steps, strict=True)]


def _gains(evidence: Evidence, before: str, after: str) -> AccuracyDifference | None:
    """The gains of two pairs; None where a model of them is missing."""
    gains: list[list[tuple[int, Result, Queries]]] = []
    for pair in map(registry().pair, (before, after)):
        base, variant = evidence.results.of(pair.base), evidence.results.of(pair.variant)
        if base is None or variant is None:
            return None
        gains.append([(1, variant, NONTRIVIAL), (-1, base, NONTRIVIAL)])
    return evidence.combined(*gains)


def _base(pair_id: str) -> str:
    return name(registry().pair(pair_id).base)


def _variant(pair_id: str) -> str:
    return name(registry().pair(pair_id).variant)


def _over(finding: Finding, step: tuple[str, str]) -> Finding:
    """The finding with both gains in place of their difference."""
    first, second = (registry().model(registry().pair(pair_id).base) for pair_id in step)
    found = finding.difference
    if found is None:
        return no_pair(step[1])
    other = second.size if first.size != second.size else second.name
    figure = f"{signed(found.after)} over {other} {signed(found.before)}"
    return Finding(finding.what, figure, finding.holds, finding.sure, found, finding.p)
