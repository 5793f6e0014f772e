"""Finished runs as JUnit XML: one suite per run with one case per numops, and a suite of pairs."""

import json
from collections.abc import Iterator, Mapping
from operator import attrgetter

from benchmark.export.rows import section
from benchmark.hypotheses.results import Result
from benchmark.junit import JUnitCase, JUnitSuite, Problem, document, points_property
from benchmark.report.data import PairView, ReportData, RunView
from benchmark.scoring.outcomes import MAIN
from benchmark.stats.error_summary import ErrorSummary
from benchmark.stats.summary import Estimate, Summary

_SETTINGS = ("name", "engine", "prompt_format", "dtype", "quantization", "batch_size")


def junit_of(report: ReportData) -> str:
    """Return the XML; a pair fails if it does not show the expected difference.

    Cases of a run never fail: an accuracy alone is neither good nor bad. A pair whose models were
    not both measured on the same states is skipped, with the reason.
    """
    errors = {id(one.view): one.summary for one in report.errors}
    suites = [
        JUnitSuite(view.title, list(_cases(view, errors.get(id(view)))), _properties(view))
        for view in report.runs
    ]
    pairs = [_pair_case(view) for view in shown_pairs(report)]
    return document([*suites, JUnitSuite("pairs", pairs)] if pairs else suites)


def shown_pairs(report: ReportData) -> list[PairView]:
    """Return the pairs of which at least one model was measured."""
    views = report.pairs.values()
    return [view for view in views if view.base.scores or view.variant.scores]


def _properties(view: RunView) -> dict[str, str]:
    run = view.run
    protocol, environment = section(run.document, "protocol"), section(run.document, "environment")
    versions = section(environment, "versions")
    return {
        "model": run.model,
        "model.fingerprint": _text(section(run.document, "model").get("fingerprint")),
        "data.sha256": run.result.data,
        **{f"protocol.{name}": _text(protocol.get(name)) for name in _SETTINGS},
        "benchmark": _text(environment.get("benchmark")),
        **{f"version.{name}": _text(version) for name, version in versions.items()},
    }


def _cases(view: RunView, errors: ErrorSummary | None) -> Iterator[JUnitCase]:
    result = view.run.result
    results = dict[str, Result](result.others.items()) | {result.score: result}
    groups = (("overall", "overall", 0), ("numops >= 1", "nontrivial", 1))
    for name, attribute, least in groups:
        estimate = attrgetter(attribute)
        figures = {score: _figures(estimate(summary)) for score, summary in view.summaries.items()}
        yield JUnitCase(view.title, name, _by_score(figures) | _errors(errors, least))
    for n in sorted(view.summary.by_numops):
        figures = {
            score: _figures(summary.by_numops[n]) | _random(results.get(score), n)
            for score, summary in view.summaries.items()
        }
        yield JUnitCase(view.title, f"numops {n}", _by_score(figures))


def _errors(errors: ErrorSummary | None, least: int) -> dict[str, str]:
    """Return the number of queries of each type of error; empty without predictions."""
    if errors is None:
        return {}
    return {f"errors.{name}": str(errors.count(name, least)) for name in errors.types}


def _by_score(figures: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Merge the figures of all scores; those of scores other than the main one have a prefix."""
    return {
        name if score == MAIN else f"{score}.{name}": value
        for score, values in figures.items()
        for name, value in values.items()
    }


def _figures(estimate: Estimate) -> dict[str, str]:
    """Return counts, and accuracy with its 95 % interval in per cent if there are queries."""
    tally = estimate.tally
    counts = {"correct": str(tally.correct), "total": str(tally.total)}
    if not tally.total:
        return counts
    shares = (tally.accuracy, *estimate.interval)
    names = ("accuracy", "low", "high")
    return counts | {name: f"{100 * x:.2f}" for name, x in zip(names, shares, strict=True)}


def _random(result: Result | None, numops: int) -> dict[str, str]:
    """Return the random baseline by the result's score; empty if it is unknown."""
    chance = result.chance if result else {}
    return {"random": f"{100 * chance[numops]:.2f}"} if numops in chance else {}


def _pair_case(view: PairView) -> JUnitCase:
    verdict = view.verdict
    words = verdict.words if verdict else ""
    values: dict[str, str] = {
        "base": view.base.repository,
        "variant": view.variant.repository,
        "hypothesis": view.pair.hypothesis,
        "verdict": words,
        **_role("base", view.base.scores),
        **_role("variant", view.variant.scores),
    }
    for score, tests in view.tests.items():
        name, test = "" if score == MAIN else f"{score}.", tests.nontrivial
        values[f"{name}p"] = f"{test.two_sided:.4f}"
        values[f"{name}detectable"] = points_property(test.detectable)
    problem = None
    if verdict and verdict.holds is False:
        problem = Problem(f"expected {view.pair.hypothesis}: {words}", words)
    skipped = words if verdict and verdict.holds is None else _unmeasured(view)
    return JUnitCase("pairs", view.pair.id, values, problem, skipped)


def _unmeasured(view: PairView) -> str:
    """Return why a pair has no tests; empty if it has."""
    if view.tests:
        return ""
    missing = [model.model.key for model in (view.base, view.variant) if not model.scores]
    if missing:
        return f"not measured: {', '.join(missing)}"
    return "its models were not measured on the same states"


def _role(role: str, summaries: Mapping[str, Summary]) -> dict[str, str]:
    """Return the figures of one model of a pair at numops >= 1, the main measure."""
    figures = _by_score(
        {score: _figures(summary.nontrivial) for score, summary in summaries.items()}
    )
    return {f"{role}.{name}": value for name, value in figures.items()}


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value) if value is not None else ""
