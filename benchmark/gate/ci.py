"""Report a gate in CI: a JUnit case per task, a GitHub annotation and a step summary."""

import os
from collections.abc import Mapping

from benchmark.gate.result import GateResult
from benchmark.gate.table import HEADS, rows
from benchmark.gate.task_result import TaskResult
from benchmark.github import add_to_summary, annotation, is_github
from benchmark.junit import JUnitCase, JUnitSuite, Problem, document
from benchmark.output import markdown

_LEVELS = {"worse": "error", "undecided": "warning", "passes": "notice"}


def junit(result: GateResult) -> str:
    """Return a JUnit file with a case per task; undecided tasks are skipped with the reason."""
    cases = [_case(name, task) for name, task in result.tasks.items()]
    cases += [JUnitCase("gate", name, {}, skipped=why) for name, why in result.absent.items()]
    return document([JUnitSuite("gate", cases, _properties(result))])


def _properties(result: GateResult) -> dict[str, str]:
    return {
        "gate.verdict": result.verdict,
        "gate.margin": f"{result.margin:g}",
        "gate.joint_p": f"{result.joint_p:.4g}",
    }


def _case(name: str, task: TaskResult) -> JUnitCase:
    decisions = {"decision": task.decision, "difference": task.difference}
    values = {
        "verdict": task.verdict,
        "metric": task.paired.metric,
        "samples": str(task.clusters.samples),
        **{key: f"{getattr(task, key):.6g}" for key in ("old", "new", "change")},
        **{
            f"{kind}.{key}": "" if value is None else str(value)
            for kind, decision in decisions.items()
            for key, value in decision.as_json().items()
        },
    }
    problem = None
    if task.verdict == "worse":
        message = _report(task)
        problem = Problem(message, "\n".join([message, *task.paired.remarks]))
    skipped = _report(task) if task.verdict == "undecided" else ""
    return JUnitCase("gate", name, values, problem, skipped)


def _report(task: TaskResult) -> str:
    """Return the decision on which the verdict rests, in one line."""
    lower = " (lower is better: a positive difference is an improvement)"
    note = lower if task.paired.lower_is_better else ""
    return f"{task.paired.metric}{note}: {task.decision.report()}"


def report_to_github(result: GateResult, environment: Mapping[str, str] = os.environ) -> str | None:
    """Append to the step summary and return the annotation to print; None outside GitHub.

    Raises:
        DataError: if the summary is not a regular file.
        OSError: naming the summary and its variable, if it cannot be written.
    """
    if not is_github(environment):
        return None
    add_to_summary(step_summary(result), environment)
    message = "\n".join([result.headline, *result.reasons(), *result.notes()])
    return annotation(_LEVELS[result.verdict], f"gate: {result.name}", message)


def step_summary(result: GateResult) -> str:
    """Return the result as Markdown."""
    lines = [f"### gate: {markdown(result.name)}: {markdown(result.headline)}", ""]
    lines += [f"| {' | '.join(HEADS)} |", "|---" * len(HEADS) + "|"]
    lines += [f"| {' | '.join(map(markdown, row))} |" for row in rows(result)]
    reports = [
        f"{name}: {_report(task)}"
        for name, task in result.tasks.items()
        if task.verdict != "passes"
    ]
    lines += ["", *(f"- {markdown(note)}" for note in [*reports, *result.notes()])]
    return "\n".join(lines) + "\n"
