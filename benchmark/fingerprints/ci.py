"""Report a comparison in CI: a JUnit case, a GitHub annotation and a step summary."""

import os
import re
from collections.abc import Mapping

from benchmark.fingerprints.comparison import FingerprintDiff, Severity
from benchmark.fingerprints.error_changes import error_change_line
from benchmark.fingerprints.terminal import (
    MARGINS,
    example_lines,
    headline,
    margin_rows,
    summary_lines,
)
from benchmark.github import add_to_summary, is_github
from benchmark.github import annotation as github_annotation
from benchmark.junit import JUnitCase, JUnitSuite, Problem, document, points_property
from benchmark.output import markdown, printable
from benchmark.scoring.outcomes import MAIN

_LEVELS = {Severity.REGRESSION: "error", Severity.DRIFT: "warning"}

_SUSPECTS = 5


def properties(comparison: FingerprintDiff) -> dict[str, str]:
    """Return the comparison's figures as JUnit properties."""
    first = comparison.suspects[0] if comparison.suspects else None
    return {
        "shift.severity": comparison.severity.value,
        "shift.stage": comparison.stage or "",
        "shift.largest": f"{comparison.largest:.6f}",
        "shift.mean_kl": f"{comparison.divergence:.3e}",
        "shift.floor": f"{comparison.floor.largest:.6f}",
        **_flip_properties(comparison, MAIN, "shift"),
        **{
            name: value
            for by in comparison.all_flips
            if by != MAIN
            for name, value in _flip_properties(comparison, by, f"shift.{by}").items()
        },
        "shift.errors": error_change_line(comparison.errors) if comparison.errors else "",
        "shift.suspect": f"{first.kind} {first.name}" if first and comparison.stage else "",
    }


def _flip_properties(comparison: FingerprintDiff, by: str, name: str) -> dict[str, str]:
    """Return the flips by one score, p-value and power, and whether the accuracies are equal."""
    flips, test = comparison.all_flips.get(by, ()), comparison.tests.get(by)
    return {
        f"{name}.gained": str(sum(flip.gained for flip in flips)),
        f"{name}.lost": str(sum(not flip.gained for flip in flips)),
        f"{name}.p": f"{test.two_sided:.4f}" if test else "",
        f"{name}.detectable": points_property(test.detectable) if test else "",
        f"{name}.equality": test.is_equal(comparison.margin).summary() if test else "",
    }


def junit(comparisons: Mapping[str, FingerprintDiff]) -> str:
    """Return a JUnit file with a case per comparison, which fails on drift and on regression."""
    cases = tuple(_case(comparison, name) for name, comparison in comparisons.items())
    return document([JUnitSuite("compare", cases)])


def _case(comparison: FingerprintDiff, name: str) -> JUnitCase:
    problem = None
    if comparison.severity in _LEVELS:
        lines = [*summary_lines(comparison), _examples(comparison)]
        problem = Problem(headline(comparison), "\n".join(filter(None, lines)))
    return JUnitCase("compare", name, properties(comparison), problem)


def annotation(comparison: FingerprintDiff, name: str) -> str:
    """Return the GitHub workflow command that shows the comparison with the run."""
    level = _LEVELS.get(comparison.severity, "notice")
    message = "\n".join([headline(comparison), *summary_lines(comparison)])
    return github_annotation(level, name, message)


def step_summary(comparison: FingerprintDiff, name: str) -> str:
    """Return the comparison as Markdown."""
    lines = [f"### {markdown(name)}: {markdown(headline(comparison))}", ""]
    lines += [f"- {markdown(line)}" for line in summary_lines(comparison)]
    if comparison.stage_diffs:
        lines += ["", "| stage | changed | of |", "|---|---:|---:|"]
        lines += [f"| {d.stage} | {len(d.states)} | {d.of} |" for d in comparison.stage_diffs]
    for by in comparison.flipped_scores:
        head = "numops" if by == MAIN else f"numops, by {by}"
        lines += ["", f"| {head} | gained | lost |", "|---:|---:|---:|"]
        counts = comparison.flips_by_numops(by).items()
        lines += [f"| {numops} | {gained} | {lost} |" for numops, (gained, lost) in counts]
    if comparison.answer_changes:
        lines += ["", f"| {' | '.join(MARGINS)} |", "|---:" * len(MARGINS) + "|"]
        lines += [f"| {' | '.join(row)} |" for row in margin_rows(comparison)]
    if comparison.examples:
        shown = printable(_examples(comparison))
        # Longer than any run of backticks in the models' answers.
        fence = "`" * (max(map(len, re.findall("`+", shown)), default=2) + 1)
        lines += ["", f"{fence}text", shown, fence]
    if comparison.stage:
        lines += ["", "| suspect | old | new | reach |", "|---|---|---|---:|"]
        lines += [
            f"| {s.kind} {markdown(s.name)} | {_cell(s.old)} | {_cell(s.new)} | {s.reach} |"
            for s in comparison.suspects[:_SUSPECTS]
        ]
    return "\n".join(lines) + "\n"


def _examples(comparison: FingerprintDiff) -> str:
    return "\n".join(line for lines in example_lines(comparison) for line in lines)


def report_to_github(
    comparison: FingerprintDiff, name: str, environment: Mapping[str, str] = os.environ
) -> str | None:
    """Append to the step summary and return the annotation to print; None outside GitHub.

    Raises:
        DataError: if the summary is not a regular file.
        OSError: naming the summary and its variable, if it cannot be written.
    """
    if not is_github(environment):
        return None
    add_to_summary(step_summary(comparison, name), environment)
    return annotation(comparison, name)


def _cell(value: str | None) -> str:
    return "" if value is None else markdown(value)
