"""Checks about single models: against a rate, against random, against all others, both ways.

Accuracies are at numops >= 1 where a check does not say otherwise.
"""

from typing import ClassVar, Literal

from pydantic import Field

from benchmark.hypotheses.checks import Check, Need, family, name, nothing, signed
from benchmark.hypotheses.evidence import AccuracyDifference, Evidence
from benchmark.hypotheses.findings import LEVEL, Finding, FindingGroup
from benchmark.hypotheses.results import (
    ALL,
    NONTRIVIAL,
    Decoding,
    EvaluationSetting,
    Queries,
    Result,
    above,
    exactly,
)
from benchmark.models.published import published
from benchmark.models.registry import registry
from benchmark.records import Tally
from benchmark.stats.published import unpaired_test


class Reaches(Check):
    """A model has at least so many per cent right at a numops."""

    check: Literal["reaches"]
    model: str
    numops: int
    percent: float

    def needs(self) -> list[Need]:
        """The model."""
        return [Need(model=self.model)]

    def groups(self, evidence: Evidence) -> list[FindingGroup]:
        """One finding."""
        what = f"{name(self.model)} at {self.numops}"
        result = evidence.results.of(self.model)
        found = evidence.against_rate(result, exactly(self.numops), self.percent / 100)
        finding = nothing(what)
        if found:
            figure = f"{found.after:.1f} (at least {self.percent:g})"
            finding = Finding(what, figure, found.points >= 0, found.p < LEVEL, found)
        return [self.group([finding])]


class NotAboveRandom(Check):
    """No model is above the random baseline on queries of more than so many operations.

    At a single numops a model may be above it by chance: that is a remark, and decides only
    where the difference is more than chance.
    """

    check: Literal["not_above_random"]
    models: tuple[str, ...] = Field(min_length=1)
    above: int = Field(ge=0)

    def needs(self) -> list[Need]:
        """The models."""
        return [Need(model=model) for model in self.models]

    def groups(self, evidence: Evidence) -> list[FindingGroup]:
        """A finding a model, and one a model and numops."""
        pooled = family(
            [(name(m), self._against(evidence, m, above(self.above))) for m in self.models],
            _not_above,
        )
        cells = family(
            [
                (f"{name(model)} at {n}", self._against(evidence, model, exactly(n)))
                for model in self.models
                for n in self._numops(evidence, model)
            ],
            _not_above,
        )
        beyond = tuple(_in_words(cell) for cell in cells if not cell.holds and cell.sure)
        others = tuple(_in_words(cell) for cell in cells if cell.holds or not cell.sure)
        return [
            FindingGroup(self.about, (*map(_in_words, pooled), *beyond), decides=not self.remark),
            FindingGroup("the same at each numops", others, decides=False),
        ]

    def _against(
        self, evidence: Evidence, model: str, queries: Queries
    ) -> AccuracyDifference | None:
        return evidence.against_chance(evidence.results.of(model), queries)

    def _numops(self, evidence: Evidence, model: str) -> list[int]:
        result = evidence.results.of(model)
        some = above(self.above)
        return sorted(n for n in result.by_numops if n in some) if result else []


def _not_above(found: AccuracyDifference) -> bool:
    return found.points <= 0


def _in_words(finding: Finding) -> Finding:
    """The finding with both figures in place of their difference."""
    if finding.difference is None:
        return finding
    found = finding.difference
    figure = f"{found.after:.1f}, random {found.before:.1f}"
    return Finding(finding.what, figure, finding.holds, finding.sure, found, finding.p)


class Best(Check):
    """A model is above each of the paper's other models."""

    check: Literal["best"]
    model: str

    def needs(self) -> list[Need]:
        """All models of the paper."""
        return [Need(model=model.key) for model in registry().models.values() if model.paper]

    def groups(self, evidence: Evidence) -> list[FindingGroup]:
        """A finding another model, the nearest first in words."""
        best = evidence.results.of(self.model)
        others = [need.model for need in self.needs() if need.model != self.model]
        found = family(
            [(name(m), evidence.between(evidence.results.of(m), best, NONTRIVIAL)) for m in others],
            lambda d: d.points > 0,
        )
        return [FindingGroup(self.about, found, decides=not self.remark, summary=_nearest(found))]


def _nearest(findings: tuple[Finding, ...]) -> str | None:
    known = [(f.difference.points, f, f.difference) for f in findings if f.difference]
    if not known:
        return None
    _, nearest, difference = min(known, key=lambda entry: entry[0])
    mark = "" if nearest.sure else "~"
    return (
        f"{difference.after:.1f}; {nearest.what}: {difference.before:.1f} ({nearest.figure}){mark}"
    )


class Scores(Check):
    """A model has the accuracy that the paper's text quotes.

    It has where the figure is the same as printed, or differs by no more than chance; both are
    estimates, so they are compared by counts, on as many queries as the paper's.
    """

    check: Literal["scores"]
    model: str
    percent: float
    queries: Literal["all", "nontrivial"]
    decoding: Decoding = "constrained"

    def needs(self) -> list[Need]:
        """The model, with or without the constraint."""
        return [Need(model=self.model, decoding=self.decoding)]

    def groups(self, evidence: Evidence) -> list[FindingGroup]:
        """One finding."""
        queries = ALL if self.queries == "all" else NONTRIVIAL
        prompt_format = evidence.results.prompt_format(self.model)
        result = evidence.results.of(self.model, EvaluationSetting(self.decoding, prompt_format))
        measured = result.tally(queries) if result else Tally(0, 0)
        what = name(self.model) + (" unconstrained" if self.decoding == "unconstrained" else "")
        if not measured.total:
            return [self.group([nothing(what)])]
        percent = 100 * measured.accuracy
        figure = f"{percent:.2f} (quoted {self.percent:g})"
        printed = abs(percent - self.percent) <= _AS_PRINTED
        holds = printed or unpaired_test(self._quoted(queries), measured).two_sided >= LEVEL
        return [self.group([Finding(what, figure, holds)])]

    def _quoted(self, queries: Queries) -> Tally:
        first = next(iter(published().values()))
        total = sum(tally.total for n, tally in first.by_numops.items() if n in queries)
        return Tally(round(total * self.percent / 100), total)


_AS_PRINTED = 0.05
"""Half a unit of the last decimal of the coarsest figure that is quoted, in per cent."""


class ConstraintHelps(Check):
    """A model has more right of all queries with the constraint than without."""

    check: Literal["constraint_helps"]
    model: str

    def needs(self) -> list[Need]:
        """The model, both ways."""
        return [Need(model=self.model), Need(model=self.model, decoding="unconstrained")]

    def groups(self, evidence: Evidence) -> list[FindingGroup]:
        """One finding."""
        prompt_format = evidence.results.prompt_format(self.model)
        free, constrained = (
            evidence.results.of(self.model, EvaluationSetting(decoding, prompt_format))
            for decoding in ("unconstrained", "constrained")
        )
        found = evidence.between(free, constrained, ALL)
        finding = nothing(f"{name(self.model)} with and without the constraint")
        if found:
            figure = f"{found.before:.2f} to {found.after:.2f} ({signed(found.points)})"
            finding = Finding(name(self.model), figure, found.points > 0, found.p < LEVEL, found)
        return [self.group([finding])]


class BetterFormat(Check):
    """Each model has more right of all queries in one prompt format than in the other."""

    check: Literal["better_format"]
    models: tuple[str, ...] = Field(min_length=1)
    better: Literal["completion", "chat"]

    def needs(self) -> list[Need]:
        """Each model in both formats."""
        formats: tuple[Literal["completion", "chat"], ...] = ("completion", "chat")
        return [Need(model=m, prompt_format=each) for m in self.models for each in formats]

    def groups(self, evidence: Evidence) -> list[FindingGroup]:
        """A finding a model, chat minus completion."""
        sign = 1 if self.better == "chat" else -1
        differences = []
        for model in self.models:
            both = evidence.results.both_formats(model)
            found = evidence.between(*both, ALL) if both else None
            what = name(model) if found else f"{name(model)} in both formats"
            differences.append((what, found))
        return [self.group(family(differences, lambda d: sign * d.points > 0))]


class BreaksFormatMore(Check):
    """Without the constraint each model leaves the format in more answers than a larger one."""

    check: Literal["breaks_format_more"]
    scored: ClassVar[bool] = False
    models: tuple[str, ...] = Field(min_length=1)
    than: str

    def needs(self) -> list[Need]:
        """The models without the constraint."""
        return [Need(model=each, decoding=_FREE) for each in (*self.models, self.than)]

    def groups(self, evidence: Evidence) -> list[FindingGroup]:
        """A finding a model: the larger model's share of answers in the format minus its own."""
        larger = self._kept(evidence, self.than)
        differences = []
        for model in self.models:
            found = evidence.between(self._kept(evidence, model), larger, ALL)
            what = name(model) if found else f"{name(model)} or {name(self.than)} unconstrained"
            differences.append((what, found))
        findings = family(differences, lambda d: d.points > 0)
        return [self.group(_broken(finding, name(self.than)) for finding in findings)]

    def _kept(self, evidence: Evidence, model: str) -> Result | None:
        setting = EvaluationSetting(_FREE, evidence.results.prompt_format(model))
        result = evidence.results.of(model, setting)
        return result.by("format") if result else None


_FREE: Decoding = "unconstrained"


def _broken(finding: Finding, larger: str) -> Finding:
    """The finding with the shares of answers that leave the format."""
    found = finding.difference
    if found is None:
        return finding
    figure = f"{100 - found.before:.1f} % of answers, {larger} {100 - found.after:.1f} %"
    return Finding(finding.what, figure, finding.holds, finding.sure, found, finding.p)
