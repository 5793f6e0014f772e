"""The result of a gate: the decision on every task, with what could not be paired."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path
from typing import NamedTuple

from benchmark.errors import SettingError
from benchmark.gate.logs import read_log
from benchmark.gate.pairing import PairedTask, incomplete, left_out, pair_logs
from benchmark.stats.gate import LEVEL, POWER, Decisions, TaskDecision, Verdict, decide

EXIT_STATUSES: Mapping[Verdict, int] = {"passes": 0, "undecided": 3, "worse": 4}
"""The exit status by verdict; 2 is for errors."""

_HALF = 0.5

MARGIN = 0.02
"""Default margin: 2 points of an accuracy."""


class Figures(NamedTuple):
    """The figures of a task with the sign of its metric: change and bounds are of new minus old."""

    old: float
    new: float
    change: float
    low: float
    high: float


def figures(paired: PairedTask, decision: TaskDecision) -> Figures:
    """Return the figures of a decision; if lower is better, it has them times -1."""
    values = (decision.old, decision.new, decision.change, decision.low, decision.high)
    if not paired.lower_is_better:
        return Figures(*values)
    old, new, change, high, low = (0.0 - value for value in values)
    return Figures(old, new, change, low, high)


@dataclass(frozen=True, slots=True)
class GateResult:
    """Whether NEW is worse than OLD.

    Attributes:
        name: the two logs.
        kinds: the harnesses that wrote them.
        tasks: the paired tasks by name.
        decisions: the decisions on them.
        remarks: what the comparison leaves out.
        absent: tasks of OLD without scores in NEW, with the reason.
    """

    name: str
    kinds: tuple[str, str]
    tasks: Mapping[str, PairedTask]
    decisions: Decisions
    remarks: Sequence[str]
    absent: Mapping[str, str] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """The verdict on all tasks; without all of OLD's, it is not that they pass."""
        verdict = self.decisions.verdict
        return "undecided" if verdict == "passes" and self.absent else verdict

    @property
    def exit_status(self) -> int:
        """The process's exit status, see :data:`EXIT_STATUSES`."""
        return EXIT_STATUSES[self.verdict]

    @property
    def headline(self) -> str:
        """The verdict in words, with the tasks that it rests on."""
        margin = f"{self.decisions.margin:g}"
        if self.verdict == "passes":
            return f"passes: no task is worse by {margin} or more"
        absent = [] if self.verdict == "worse" else self.absent
        names = ", ".join([*self.tasks_with(self.verdict), *absent])
        if self.verdict == "worse":
            return f"worse by more than {margin}: {names}"
        return f"undecided: a drop of {margin} is not excluded in {names}"

    @property
    def joint_words(self) -> str:
        """The joint test over tasks, in words; empty for one task."""
        if len(self.tasks) == 1:
            return ""
        changed = [n for n, task in self.decisions.tasks.items() if task.adjusted_p < LEVEL]
        by_task = f"changed by Holm's method: {', '.join(changed) or 'none'}"
        return f"nothing changed in any task: p = {self.decisions.joint_p:.2g}; {by_task}"

    def tasks_with(self, verdict: Verdict) -> list[str]:
        """Return the names of the tasks with this verdict."""
        return [name for name, task in self.decisions.tasks.items() if task.verdict == verdict]

    def notes(self) -> list[str]:
        """Return the metrics, the joint test, and what the comparison leaves out."""
        metrics = {*map(_metric, self.tasks.values())}
        one = len(metrics) == 1
        names = [_metric(t) if one else f"{_metric(t)} of {n}" for n, t in self.tasks.items()]
        of_tasks = (f"{n}: {line}" for n, task in self.tasks.items() for line in task.remarks)
        absent = [f"{name}: {reason}" for name, reason in self.absent.items()]
        joint = [self.joint_words] if self.joint_words else []
        return [
            f"metric: {', '.join(dict.fromkeys(names))}",
            *joint,
            *absent,
            *self.remarks,
            *of_tasks,
        ]

    def as_json(self) -> dict[str, object]:
        """Return the result as JSON."""
        return {
            "verdict": self.verdict,
            "exit_status": self.exit_status,
            "margin": self.decisions.margin,
            "level": LEVEL,
            "power": POWER,
            "joint_p": self.decisions.joint_p,
            "harnesses": list(self.kinds),
            "remarks": list(self.remarks),
            "absent": dict(self.absent),
            "tasks": {
                name: _task_json(self.tasks[name], decision)
                for name, decision in self.decisions.tasks.items()
            },
        }


def gate(
    old: Path,
    new: Path,
    *,
    metric: str | None = None,
    margin: float = MARGIN,
    cluster: str | None = None,
    lower_is_better: bool = False,
) -> GateResult:
    """Compare two evaluation logs.

    Args:
        old: the log before, a file or a folder.
        new: the log after.
        metric: the score that is compared; by default each task's first binary one.
        margin: largest drop that passes, in the unit of the score.
        cluster: a field of the samples that says which belong together.
        lower_is_better: whether a lower score is better; by default as the logs say, or else not.

    Raises:
        DataError: if a log cannot be read, or nothing can be paired.
        SettingError: if the margin is no number, or too large for a score of 0 and 1.
    """
    if not isfinite(margin):
        raise SettingError(f"--margin {margin:g}: give a number, such as {MARGIN:g}")
    before, after = read_log(old, cluster), read_log(new, cluster)
    tasks = pair_logs(before, after, metric, lower_is_better=lower_is_better)
    _check_margin(margin, tasks)
    missing = {name: task.missing for name, task in tasks.items()}
    decisions = decide({name: task.pairs for name, task in tasks.items()}, margin, missing=missing)
    reasons = incomplete(before, after)
    decisions = _without_passing(decisions, reasons)
    remarks = left_out(before, after)
    remarks += [
        f"{name}: {count} samples of {side} have no score"
        for side, log in (("OLD", before), ("NEW", after))
        for name, task in log.tasks.items()
        if name in tasks and (count := task.failed)
    ]
    kinds = (before.kind, after.kind)
    absent = {name: reason for name, reason in reasons.items() if name not in tasks}
    return GateResult(f"{old.name} -> {new.name}", kinds, tasks, decisions, remarks, absent)


def _without_passing(decisions: Decisions, reasons: Mapping[str, str]) -> Decisions:
    """Return the decisions with those tasks undecided for these reasons that would pass."""
    tasks = {
        name: replace(decision, verdict="undecided", reason=reasons[name])
        if decision.verdict == "passes" and name in reasons
        else decision
        for name, decision in decisions.tasks.items()
    }
    return replace(decisions, tasks=tasks)


def _metric(task: PairedTask) -> str:
    """Return the name of the metric, with the direction if it is not known to be usual."""
    if task.lower_is_better:
        return f"{task.metric} (lower is better)"
    return f"{task.metric} (assumed: higher is better)" if task.assumed else task.metric


def _check_margin(margin: float, tasks: Mapping[str, PairedTask]) -> None:
    """Refuse points in place of a share: a margin of 1 would pass everything.

    Raises:
        SettingError: if the margin is half of the range of a score of 0 and 1, or more.
    """
    binary = (
        n for n, task in tasks.items() if {v for p in task.pairs for v in p[:2]} <= {0.0, 1.0}
    )
    if margin >= _HALF and (name := next(binary, None)):
        raise SettingError(
            f"--margin {margin:g}: {tasks[name].metric} of {name} is 0 or 1; a point is 0.01"
        )


def _task_json(paired: PairedTask, decision: TaskDecision) -> dict[str, object]:
    shown = figures(paired, decision)
    return {
        "verdict": decision.verdict,
        "reason": decision.reason,
        "metric": paired.metric,
        "lower_is_better": paired.lower_is_better,
        "samples": decision.clusters.samples,
        "clusters": len(decision.clusters.sums),
        "direction_assumed": paired.assumed,
        "old": shown.old,
        "new": shown.new,
        "change": shown.change,
        "low": _finite(shown.low),
        "high": _finite(shown.high),
        "gained": decision.clusters.gained,
        "lost": decision.clusters.lost,
        "p": decision.p,
        "adjusted_p": decision.adjusted_p,
        "detectable": decision.detectable,
        "missing": len(paired.missing),
        "only_old": paired.only_old,
        "only_new": paired.only_new,
        "unscored": paired.unscored,
        "prompts_differ": paired.prompts_differ,
    }


def _finite(value: float) -> float | None:
    """Return a bound; None for one that a single cluster does not have."""
    return value if isfinite(value) else None
