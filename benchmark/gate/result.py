"""The result of a gate: the decisions on every task, with what could not be paired."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path

from benchmark.errors import SettingError
from benchmark.gate.logs import read_log
from benchmark.gate.pairing import PairedTask, left_out, pair_logs
from benchmark.gate.task_result import TaskResult, task_result
from benchmark.stats.gate import LEVEL, POWER, Verdict, decide

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
        tasks: the results of the tasks by name.
        margin: largest drop that passes, in the unit of the scores.
        joint_p: p-value of "nothing changed in any task".
        remarks: what the comparison leaves out.
        absent: tasks of OLD without scores in NEW, with the reason.
        models: those of the old and of the new log, as far as the logs name them.
    """

    name: str
    kinds: tuple[str, str]
    tasks: Mapping[str, TaskResult]
    margin: float
    joint_p: float
    remarks: Sequence[str]
    absent: Mapping[str, str] = field(default_factory=dict)
    models: tuple[Sequence[str], Sequence[str]] = ((), ())

    @property
    def verdict(self) -> Verdict:
        """The verdict on all tasks; without all of OLD's, it is not that they pass."""
        verdicts = {task.verdict for task in self.tasks.values()}
        if "worse" in verdicts:
            return "worse"
        return "undecided" if "undecided" in verdicts or self.absent else "passes"

    @property
    def exit_status(self) -> int:
        """The process's exit status, see :data:`EXIT_STATUSES`."""
        return EXIT_STATUSES[self.verdict]

    @property
    def headline(self) -> str:
        """The verdict in words, with the tasks that it rests on."""
        margin = f"{self.margin:g}"
        if self.verdict == "passes":
            return f"passes: no task is worse by {margin} or more"
        absent = [] if self.verdict == "worse" else self.absent
        names = ", ".join([*self.tasks_with(self.verdict), *absent])
        if self.verdict == "worse":
            return f"worse by more than {margin}: {names}"
        return f"undecided at a margin of {margin}: {names}"

    @property
    def model_words(self) -> str:
        """The model, or both with an arrow if they differ; empty if the logs name none."""
        old, new = (", ".join(models) or "unnamed" for models in self.models)
        if not any(self.models):
            return ""
        return new if old == new else f"{old} -> {new}"

    @property
    def joint_words(self) -> str:
        """The joint test over tasks, in words; empty for one task."""
        if len(self.tasks) == 1:
            return ""
        changed = [n for n, t in self.tasks.items() if t.difference.verdict == "supported"]
        by_task = f"changed by Holm's method: {', '.join(changed) or 'none'}"
        return f'test of "nothing changed in any task": p = {self.joint_p:.2g}; {by_task}'

    def tasks_with(self, verdict: Verdict) -> list[str]:
        """Return the names of the tasks with this verdict."""
        return [name for name, task in self.tasks.items() if task.verdict == verdict]

    def reasons(self) -> list[str]:
        """Return why tasks are undecided."""
        return [f"{n}: {self.tasks[n].decision.reason}" for n in self.tasks_with("undecided")]

    def notes(self) -> list[str]:
        """Return the metrics, models that differ, the joint test, and what is left out."""
        metrics = self._by_task({n: _metric(task.paired) for n, task in self.tasks.items()})
        others = {n: ", ".join(task.paired.others) for n, task in self.tasks.items()}
        of_tasks = (f"{n}: {line}" for n, t in self.tasks.items() for line in t.paired.remarks)
        absent = [f"{name}: {reason}" for name, reason in self.absent.items()]
        differ = all(self.models) and self.models[0] != self.models[1]
        models = [f"models differ: {self.model_words}"] if differ else []
        joint = [self.joint_words] if self.joint_words else []
        compared = [f"not compared: {self._by_task(others)}"] if any(others.values()) else []
        return [
            f"metric: {metrics}",
            *compared,
            *models,
            *joint,
            *absent,
            *self.remarks,
            *of_tasks,
        ]

    def _by_task(self, values: Mapping[str, str]) -> str:
        """Return a value of every task, once if it is the same for all."""
        if len({*values.values()}) == 1:
            return next(iter(values.values()))
        return ", ".join(f"{value} of {name}" for name, value in values.items() if value)

    def as_json(self) -> dict[str, object]:
        """Return the result as JSON."""
        return {
            "verdict": self.verdict,
            "exit_status": self.exit_status,
            "margin": self.margin,
            "level": LEVEL,
            "power": POWER,
            "joint_p": self.joint_p,
            "harnesses": list(self.kinds),
            "models": {"old": list(self.models[0]), "new": list(self.models[1])},
            "remarks": list(self.remarks),
            "absent": dict(self.absent),
            "tasks": {name: task.as_json() for name, task in self.tasks.items()},
        }


def gate(
    old: Path,
    new: Path,
    *,
    metric: Sequence[str] = (),
    margin: float = MARGIN,
    cluster: str | None = None,
    lower_is_better: bool = False,
) -> GateResult:
    """Compare two evaluation logs.

    Args:
        old: the log before, a file or a folder.
        new: the log after.
        metric: the scores that are compared, ``NAME`` or ``TASK=NAME``; by default each task's
            first in OLD that is 0 or 1.
        margin: largest drop that passes, in the unit of the score.
        cluster: a field of the samples that says which belong together.
        lower_is_better: whether a lower score is better where the logs do not say.

    Raises:
        DataError: if a log cannot be read, or nothing can be paired.
        SettingError: if the margin is no number, or too large for a score of 0 and 1.
    """
    if not isfinite(margin):
        raise SettingError(f"--margin {margin:g}: give a number, such as {MARGIN:g}")
    before, after = read_log(old, cluster), read_log(new, cluster)
    paired, reasons = pair_logs(before, after, metric, lower_is_better=lower_is_better)
    _check_margin(margin, paired)
    decided = decide(
        {name: task.pairs for name, task in paired.items()},
        margin,
        missing={name: task.missing for name, task in paired.items()},
        worst={name: task.worst for name, task in paired.items()},
    )
    tasks = {
        name: task_result(paired[name], numbers, margin, reasons.get(name, ""))
        for name, numbers in decided.tasks.items()
    }
    remarks = left_out(before, after)
    remarks += [
        f"{name}: samples of {side} without a score: {count}"
        for side, log in (("OLD", before), ("NEW", after))
        for name, task in log.tasks.items()
        if name in tasks and (count := task.failed)
    ]
    kinds = (before.kind, after.kind)
    absent = {name: reason for name, reason in reasons.items() if name not in tasks}
    name = f"{old.name} -> {new.name}"
    models = (before.models, after.models)
    return GateResult(name, kinds, tasks, margin, decided.joint_p, remarks, absent, models)


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
