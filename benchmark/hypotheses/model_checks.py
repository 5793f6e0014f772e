"""Checks of single models: against a rate, against random, against other models and settings.

Accuracies are at numops >= 1 unless a check says otherwise.
"""

from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field

from benchmark.hypotheses.checks import (
    Check,
    RequiredResult,
    finding_of,
    holm_findings,
    missing_result,
    model_name,
)
from benchmark.hypotheses.evidence import AccuracyDifference, Evidence, doubt_of_counts
from benchmark.hypotheses.findings import Finding, FindingGroup
from benchmark.hypotheses.results import (
    ALL,
    NONTRIVIAL,
    UNCONSTRAINED,
    Decoding,
    EvaluationSetting,
    Queries,
    Result,
    numops_above,
    numops_equal,
)
from benchmark.models.published import published
from benchmark.models.registry import registry
from benchmark.models.validation import Items
from benchmark.records import Tally
from benchmark.stats.points import signed
from benchmark.stats.published import unpaired_test


class Reaches(Check):
    """A model has at least a given accuracy at a numops."""

    check: Literal["reaches"]
    model: str
    numops: int
    percent: float

    def required_results(self) -> list[RequiredResult]:
        """Return the result of the model."""
        return [RequiredResult(model=self.model)]

    def groups(self, evidence: Evidence) -> list[FindingGroup]:
        """Return one finding."""
        what = f"{model_name(self.model)} at {self.numops}"
        result = evidence.results.of(self.model)
        difference = evidence.against_rate(result, numops_equal(self.numops), self.percent / 100)
        finding = missing_result(what)
        if difference:
            figure = f"{difference.after:.1f} (at least {self.percent:g})"
            finding = finding_of(what, figure, difference, holds=difference.points >= 0)
        return [self.group([finding])]


class NotAboveRandom(Check):
    """No model is above the random baseline on queries with more than a number of operations.

    At a single numops a model may be above it by chance. That is a remark, and decides only if
    the difference is significant.
    """

    check: Literal["not_above_random"]
    models: Items[str] = Field(min_length=1)
    above: int = Field(ge=0)

    def required_results(self) -> list[RequiredResult]:
        """Return the results of the models."""
        return [RequiredResult(model=model) for model in self.models]

    def groups(self, evidence: Evidence) -> list[FindingGroup]:
        """Return one finding per model, and one per model and numops."""
        pooled = holm_findings(
            [
                (model_name(m), self._against(evidence, m, numops_above(self.above)))
                for m in self.models
            ],
            _not_above,
        )
        cells = holm_findings(
            [
                (f"{model_name(model)} at {n}", self._against(evidence, model, numops_equal(n)))
                for model in self.models
                for n in self._numops(evidence, model)
            ],
            _not_above,
        )
        beyond = tuple(_with_both_figures(cell) for cell in cells if not cell.holds and cell.sure)
        others = tuple(_with_both_figures(cell) for cell in cells if cell.holds or not cell.sure)
        return [
            FindingGroup(
                self.about, (*map(_with_both_figures, pooled), *beyond), decides=not self.remark
            ),
            FindingGroup("the same at each numops", others, decides=False),
        ]

    def _against(
        self, evidence: Evidence, model: str, queries: Queries
    ) -> AccuracyDifference | None:
        return evidence.against_random(evidence.results.of(model), queries)

    def _numops(self, evidence: Evidence, model: str) -> list[int]:
        result = evidence.results.of(model)
        queries = numops_above(self.above)
        return sorted(n for n in result.by_numops if n in queries) if result else []


def _not_above(difference: AccuracyDifference) -> bool:
    return difference.points <= 0


def _with_both_figures(finding: Finding) -> Finding:
    """Return the finding with both figures instead of their difference."""
    if finding.difference is None:
        return finding
    difference = finding.difference
    return replace(finding, figure=f"{difference.after:.1f}, random {difference.before:.1f}")


class Best(Check):
    """A model is above each of the paper's other models."""

    check: Literal["best"]
    model: str

    def required_results(self) -> list[RequiredResult]:
        """Return the results of all models of the paper."""
        return [
            RequiredResult(model=model.key) for model in registry().models.values() if model.paper
        ]

    def groups(self, evidence: Evidence) -> list[FindingGroup]:
        """Return one finding per other model; the summary names the closest one."""
        best = evidence.results.of(self.model)
        others = [r.model for r in self.required_results() if r.model != self.model]
        findings = holm_findings(
            [
                (model_name(m), evidence.difference(evidence.results.of(m), best, NONTRIVIAL))
                for m in others
            ],
            lambda d: d.points > 0,
        )
        return [
            FindingGroup(self.about, findings, decides=not self.remark, summary=_nearest(findings))
        ]


def _nearest(findings: tuple[Finding, ...]) -> str | None:
    present = [(f.difference.points, f, f.difference) for f in findings if f.difference]
    if not present:
        return None
    _, nearest, difference = min(present, key=lambda entry: entry[0])
    mark = "" if nearest.sure else "~"
    return (
        f"{difference.after:.1f}; {nearest.what}: {difference.before:.1f} ({nearest.figure}){mark}"
    )


class Scores(Check):
    """A model has the accuracy that the paper's text quotes.

    The figure agrees if it is the same as printed. It disagrees if it differs significantly; both
    are estimates, so they are compared by counts, with the number of queries of the paper.
    Anything between is in doubt, and so is any figure of few sequences.
    """

    check: Literal["scores"]
    model: str
    percent: float
    queries: Literal["all", "nontrivial"]
    decoding: Decoding = "constrained"

    def required_results(self) -> list[RequiredResult]:
        """Return the result of the model, with or without the constraint."""
        return [RequiredResult(model=self.model, decoding=self.decoding)]

    def groups(self, evidence: Evidence) -> list[FindingGroup]:
        """Return one finding."""
        queries = ALL if self.queries == "all" else NONTRIVIAL
        prompt_format = evidence.results.prompt_format(self.model)
        result = evidence.results.of(self.model, EvaluationSetting(self.decoding, prompt_format))
        measured = result.tally(queries) if result else Tally(0, 0)
        what = model_name(self.model) + (
            " unconstrained" if self.decoding == "unconstrained" else ""
        )
        if result is None or not measured.total:
            return [self.group([missing_result(what)])]
        percent = 100 * measured.accuracy
        figure = f"{percent:.2f} (quoted {self.percent:g})"
        as_printed = abs(percent - self.percent) <= _AS_PRINTED
        test = unpaired_test(self._quoted(queries), measured, evidence.design_effect)
        differs = test.differs(doubt=doubt_of_counts([result]))
        agrees = as_printed or differs.p >= differs.level
        doubt = differs.doubt if as_printed or differs.verdict == "supported" else differs.reason
        return [self.group([Finding(what, figure, agrees, doubt)])]

    def _quoted(self, queries: Queries) -> Tally:
        first = next(iter(published().values()))
        total = sum(tally.total for n, tally in first.by_numops.items() if n in queries)
        return Tally(round(total * self.percent / 100), total)


_AS_PRINTED = 0.05
"""Half a unit of the last decimal of the coarsest quoted figure, in per cent."""


class ConstraintHelps(Check):
    """A model answers more of all queries correctly with the constraint than without."""

    check: Literal["constraint_helps"]
    model: str

    def required_results(self) -> list[RequiredResult]:
        """Return the results of the model with and without the constraint."""
        return [
            RequiredResult(model=self.model),
            RequiredResult(model=self.model, decoding="unconstrained"),
        ]

    def groups(self, evidence: Evidence) -> list[FindingGroup]:
        """Return one finding."""
        prompt_format = evidence.results.prompt_format(self.model)
        free, constrained = (
            evidence.results.of(self.model, EvaluationSetting(decoding, prompt_format))
            for decoding in ("unconstrained", "constrained")
        )
        difference = evidence.difference(free, constrained, ALL)
        finding = missing_result(f"{model_name(self.model)} with and without the constraint")
        if difference:
            points = signed(difference.points)
            figure = f"{difference.before:.2f} to {difference.after:.2f} ({points})"
            name = model_name(self.model)
            finding = finding_of(name, figure, difference, holds=difference.points > 0)
        return [self.group([finding])]


class BetterFormat(Check):
    """Each model answers more of all queries correctly in one prompt format than in the other."""

    check: Literal["better_format"]
    models: Items[str] = Field(min_length=1)
    better: Literal["completion", "chat"]

    def required_results(self) -> list[RequiredResult]:
        """Return the results of each model in both formats."""
        formats: tuple[Literal["completion", "chat"], ...] = ("completion", "chat")
        return [
            RequiredResult(model=m, prompt_format=name) for m in self.models for name in formats
        ]

    def groups(self, evidence: Evidence) -> list[FindingGroup]:
        """Return one finding per model, chat minus completion."""
        sign = 1 if self.better == "chat" else -1
        differences = []
        for model in self.models:
            both = evidence.results.both_formats(model)
            difference = evidence.difference(*both, ALL) if both else None
            what = model_name(model) if difference else f"{model_name(model)} in both formats"
            differences.append((what, difference))
        return [self.group(holm_findings(differences, lambda d: sign * d.points > 0))]


class BreaksFormatMore(Check):
    """Without the constraint, each model breaks the format in more answers than a larger model."""

    check: Literal["breaks_format_more"]
    scored: ClassVar[bool] = False
    models: Items[str] = Field(min_length=1)
    than: str

    def required_results(self) -> list[RequiredResult]:
        """Return the unconstrained results of the models."""
        models = (*self.models, self.than)
        return [RequiredResult(model=model, decoding=UNCONSTRAINED) for model in models]

    def groups(self, evidence: Evidence) -> list[FindingGroup]:
        """Return one finding per model, from the shares of answers that keep the format."""
        larger = self._format_kept(evidence, self.than)
        differences = []
        for model in self.models:
            difference = evidence.difference(self._format_kept(evidence, model), larger, ALL)
            what = (
                model_name(model)
                if difference
                else f"{model_name(model)} or {model_name(self.than)} unconstrained"
            )
            differences.append((what, difference))
        findings = holm_findings(differences, lambda d: d.points > 0)
        return [self.group(_broken(finding, model_name(self.than)) for finding in findings)]

    def _format_kept(self, evidence: Evidence, model: str) -> Result | None:
        setting = EvaluationSetting(UNCONSTRAINED, evidence.results.prompt_format(model))
        result = evidence.results.of(model, setting)
        return result.by("format") if result else None


def _broken(finding: Finding, larger: str) -> Finding:
    """Return the finding with the shares of answers that break the format."""
    difference = finding.difference
    if difference is None:
        return finding
    figure = f"{100 - difference.before:.1f} % of answers, {larger} {100 - difference.after:.1f} %"
    return replace(finding, figure=figure)
