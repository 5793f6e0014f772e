"""The result of a gate: the decision on every task, with what could not be paired."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from benchmark.errors import SettingError
from benchmark.gate.logs import read_log
from benchmark.gate.pairing import PairedTask, pair_logs, unshared
from benchmark.stats.gate import LEVEL, POWER, Decisions, TaskDecision, Verdict, decide

EXIT_STATUSES: Mapping[Verdict, int] = {"passes": 0, "undecided": 3, "worse": 4}
"""The exit status by verdict; 2 is for errors."""

_HALF = 0.5

MARGIN = 0.02
"""Default margin: 2 points of an accuracy."""


@dataclass(frozen=True, slots=True)
class GateResult:
    """Whether NEW is worse than OLD.

    Attributes:
        name: the two logs.
        kinds: the harnesses that wrote them.
        tasks: the paired tasks by name.
        decisions: the decisions on them.
        remarks: what the comparison leaves out.
    """

    name: str
    kinds: tuple[str, str]
    tasks: Mapping[str, PairedTask]
    decisions: Decisions
    remarks: Sequence[str]

    @property
    def verdict(self) -> Verdict:
        """The verdict on all tasks."""
        return self.decisions.verdict

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
        names = ", ".join(self.tasks_with(self.verdict))
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
        metrics = {task.metric for task in self.tasks.values()}
        one = len(metrics) == 1
        names = [t.metric if one else f"{t.metric} of {n}" for n, t in self.tasks.items()]
        of_tasks = (f"{n}: {line}" for n, task in self.tasks.items() for line in task.remarks)
        joint = [self.joint_words] if self.joint_words else []
        return [f"metric: {', '.join(dict.fromkeys(names))}", *joint, *self.remarks, *of_tasks]

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
) -> GateResult:
    """Compare two evaluation logs.

    Args:
        old: the log before, a file or a folder.
        new: the log after.
        metric: the score that is compared; by default each task's first binary one.
        margin: largest drop that passes, in the unit of the score.
        cluster: a field of the samples that says which belong together.

    Raises:
        DataError: if a log cannot be read, or nothing can be paired.
    """
    before, after = read_log(old, cluster), read_log(new, cluster)
    tasks = pair_logs(before, after, metric)
    _check_margin(margin, tasks)
    decisions = decide({name: task.pairs for name, task in tasks.items()}, margin)
    remarks = unshared(before, after)
    remarks += [
        f"{name}: {count} samples of {side} have no score"
        for side, log in (("OLD", before), ("NEW", after))
        for name, task in log.tasks.items()
        if name in tasks and (count := task.failed)
    ]
    kinds = (before.kind, after.kind)
    return GateResult(f"{old.name} -> {new.name}", kinds, tasks, decisions, remarks)


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
    sign = -1 if paired.lower_is_better else 1
    return {
        "verdict": decision.verdict,
        "reason": decision.reason,
        "metric": paired.metric,
        "lower_is_better": paired.lower_is_better,
        "samples": decision.clusters.samples,
        "clusters": len(decision.clusters.sums),
        "old": sign * decision.old,
        "new": sign * decision.new,
        "change": decision.change,
        "low": _finite(decision.low),
        "high": _finite(decision.high),
        "gained": decision.clusters.gained,
        "lost": decision.clusters.lost,
        "p": decision.p,
        "adjusted_p": decision.adjusted_p,
        "detectable": decision.detectable,
        "only_old": paired.only_old,
        "only_new": paired.only_new,
        "unscored": paired.unscored,
        "prompts_differ": paired.prompts_differ,
    }


def _finite(value: float) -> float | None:
    """Return a bound; None for one that a single cluster does not have."""
    return value if isfinite(value) else None
