"""Report a gate in CI: a JUnit case per task, a GitHub annotation and a step summary."""

import os
from collections.abc import Mapping

from benchmark.gate.result import GateResult, figures
from benchmark.gate.table import HEADS, rows
from benchmark.github import add_to_summary, annotation, is_github
from benchmark.junit import JUnitCase, JUnitSuite, Problem, document
from benchmark.output import markdown
from benchmark.stats.points import signed

_LEVELS = {"worse": "error", "undecided": "warning", "passes": "notice"}


def junit(result: GateResult) -> str:
    """Return a JUnit file with a case per task; undecided tasks are skipped with the reason."""
    cases = [_case(result, name) for name in result.decisions.tasks]
    cases += [JUnitCase("gate", name, {}, skipped=why) for name, why in result.absent.items()]
    return document([JUnitSuite("gate", cases, _properties(result))])


def _properties(result: GateResult) -> dict[str, str]:
    return {
        "gate.verdict": result.verdict,
        "gate.margin": f"{result.decisions.margin:g}",
        "gate.joint_p": f"{result.decisions.joint_p:.4g}",
    }


def _case(result: GateResult, name: str) -> JUnitCase:
    decision, paired = result.decisions.tasks[name], result.tasks[name]
    shown = figures(paired, decision)
    values = {
        "metric": paired.metric,
        "samples": str(decision.clusters.samples),
        **{key: f"{value:.6g}" for key, value in shown._asdict().items()},
        "p": f"{decision.p:.4g}",
        "adjusted_p": f"{decision.adjusted_p:.4g}",
        "detectable": "" if decision.detectable is None else f"{decision.detectable:.6g}",
        "verdict": decision.verdict,
    }
    problem = None
    if decision.verdict == "worse":
        message = f"{paired.metric} changed by {signed(shown.change, 4)}: {decision.reason}"
        problem = Problem(message, "\n".join([message, *paired.remarks]))
    skipped = decision.reason if decision.verdict == "undecided" else ""
    return JUnitCase("gate", name, values, problem, skipped)


def report_to_github(result: GateResult, environment: Mapping[str, str] = os.environ) -> str | None:
    """Append to the step summary and return the annotation to print; None outside GitHub.

    Raises:
        DataError: if the summary is not a regular file.
        OSError: naming the summary and its variable, if it cannot be written.
    """
    if not is_github(environment):
        return None
    add_to_summary(step_summary(result), environment)
    message = "\n".join([result.headline, *result.notes()])
    return annotation(_LEVELS[result.verdict], f"gate: {result.name}", message)


def step_summary(result: GateResult) -> str:
    """Return the result as Markdown."""
    lines = [f"### gate: {markdown(result.name)}: {markdown(result.headline)}", ""]
    lines += [f"| {' | '.join(HEADS)} |", "|---" * len(HEADS) + "|"]
    lines += [f"| {' | '.join(map(markdown, row))} |" for row in rows(result)]
    lines += ["", *(f"- {markdown(note)}" for note in result.notes())]
    return "\n".join(lines) + "\n"
