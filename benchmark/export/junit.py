"""Finished runs as a JUnit file: a suite a run, a case a numops, and a suite of pairs."""

import json
from collections.abc import Iterator, Mapping
from operator import attrgetter

from benchmark.export.rows import part
from benchmark.hypotheses.results import Result
from benchmark.junit import JUnitCase, JUnitSuite, Problem, document
from benchmark.report.data import PairView, ReportData, RunView
from benchmark.scoring.outcomes import MAIN
from benchmark.stats.summary import Estimate, Summary

_SETTINGS = ("name", "engine", "prompt_format", "dtype", "quantization", "batch_size")


def junit_of(material: ReportData) -> str:
    """The file; a pair fails when it does not show what it is expected to.

    A run fails nothing: an accuracy alone is neither good nor bad. Pairs with a model that was
    not measured, or on other states, have no case.
    """
    suites = [
        JUnitSuite(view.run.label, list(_cases(view)), _about(view)) for view in material.runs
    ]
    pairs = [_pair(view) for view in material.pairs.values() if view.tests]
    return document([*suites, JUnitSuite("pairs", pairs)] if pairs else suites)


def _about(view: RunView) -> dict[str, str]:
    run = view.run
    protocol, environment = part(run.document, "protocol"), part(run.document, "environment")
    versions = part(environment, "versions")
    return {
        "model": run.model,
        "model.fingerprint": _text(part(run.document, "model").get("fingerprint")),
        "data.sha256": run.result.data,
        **{f"protocol.{name}": _text(protocol.get(name)) for name in _SETTINGS},
        "benchmark": _text(environment.get("benchmark")),
        **{f"version.{name}": _text(version) for name, version in versions.items()},
    }


def _cases(view: RunView) -> Iterator[JUnitCase]:
    result = view.run.result
    results = dict[str, Result](result.others.items()) | {result.score: result}
    for name, of in (("overall", attrgetter("overall")), ("numops >= 1", attrgetter("nontrivial"))):
        figures = {by: _figures(of(summary)) for by, summary in view.summaries.items()}
        yield JUnitCase(view.run.label, name, _by_score(figures))
    for n in sorted(view.summary.by_numops):
        figures = {
            by: _figures(summary.by_numops[n]) | _random(results.get(by), n)
            for by, summary in view.summaries.items()
        }
        yield JUnitCase(view.run.label, f"numops {n}", _by_score(figures))


def _by_score(figures: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """The figures of some queries: the main score's as they are, others' under its name."""
    return {
        name if by == MAIN else f"{by}.{name}": value
        for by, own in figures.items()
        for name, value in own.items()
    }


def _figures(estimate: Estimate) -> dict[str, str]:
    """Counts, and accuracy with its 95 % interval in per cent; none where there is no query."""
    tally = estimate.tally
    counts = {"correct": str(tally.correct), "total": str(tally.total)}
    if not tally.total:
        return counts
    shares = (tally.accuracy, *estimate.interval)
    names = ("accuracy", "low", "high")
    return counts | {name: f"{100 * x:.2f}" for name, x in zip(names, shares, strict=True)}


def _random(result: Result | None, numops: int) -> dict[str, str]:
    """The random baseline by the result's score; none where that is not known."""
    chance = result.chance if result else {}
    return {"random": f"{100 * chance[numops]:.2f}"} if numops in chance else {}


def _pair(view: PairView) -> JUnitCase:
    figures = view.verdict or ""
    values: dict[str, str] = {
        "base": view.base.repository,
        "variant": view.variant.repository,
        "hypothesis": view.pair.hypothesis,
        "verdict": figures,
        **_role("base", view.base.scores),
        **_role("variant", view.variant.scores),
    }
    for by, tests in view.tests.items():
        values["p" if by == MAIN else f"{by}.p"] = f"{tests.nontrivial.two_sided:.4f}"
    problem = (
        None if view.holds else Problem(f"expected {view.pair.hypothesis}: {figures}", figures)
    )
    return JUnitCase("pairs", view.pair.id, values, problem)


def _role(role: str, summaries: Mapping[str, Summary]) -> dict[str, str]:
    """The figures of one of a pair at numops >= 1, its main measure."""
    figures = _by_score({by: _figures(each.nontrivial) for by, each in summaries.items()})
    return {f"{role}.{name}": value for name, value in figures.items()}


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value) if value is not None else ""
