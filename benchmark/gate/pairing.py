"""Pair the samples of two logs by their identity."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmark.errors import DataError
from benchmark.gate.samples import Log, Sample, TaskLog
from benchmark.stats.gate import Pair


@dataclass(frozen=True, slots=True)
class PairedTask:
    """The pairs of one task, and what could not be paired.

    Attributes:
        metric: the score that is compared.
        pairs: scores before and after; of a metric of which lower is better, times -1.
        clustered: whether pairs have clusters.
        lower_is_better: whether the scores were multiplied by -1.
        assumed: whether the direction is neither in a log nor named.
        missing: scores of the old log, with that sign, of samples without one in the new log.
        only_old: samples of the old log alone.
        only_new: samples of the new log alone.
        unscored: paired samples that lack the metric in one of the logs.
        prompts_differ: paired samples whose prompts differ.
    """

    metric: str
    pairs: Sequence[Pair]
    clustered: bool
    lower_is_better: bool
    assumed: bool
    missing: Sequence[float]
    only_old: int
    only_new: int
    unscored: int
    prompts_differ: int

    @property
    def remarks(self) -> list[str]:
        """Return what could not be paired, and prompts that differ, in words."""
        counts = {
            "only in OLD": self.only_old,
            "only in NEW": self.only_new,
            f"without {self.metric} in one of them": self.unscored,
        }
        left_out = [f"{count} {where}" for where, count in counts.items() if count]
        lines = [f"left out: {', '.join(left_out)}"] if left_out else []
        if self.prompts_differ:
            lines.append(f"prompts differ in {self.prompts_differ} of {len(self.pairs)} pairs")
        return lines


def pair_logs(
    old: Log, new: Log, metric: str | None = None, *, lower_is_better: bool = False
) -> dict[str, PairedTask]:
    """Pair the samples of every task that has scores in both logs.

    A sample that occurs several times in a log, as duplicates in a dataset do, is paired in order.

    Args:
        old: the log before.
        new: the log after.
        metric: the score to compare; by default a task's first that is 0 or 1 for all samples, or
            else its first, of those in both logs.
        lower_is_better: whether it is of every task; by default as the logs say, or else higher is.

    Raises:
        DataError: if no task is in both logs, none has scores in both, no sample of a task can be
            paired, or no sample has the metric.
    """
    names = [name for name in old.tasks if name in new.tasks]
    if not names:
        raise DataError(
            f"the logs share no task: OLD has {_listed(old.tasks)}, NEW {_listed(new.tasks)}"
        )
    scored = [name for name in names if _has_scores(old, name) and _has_scores(new, name)]
    if not scored:
        raise DataError(f"task {names[0]}: its samples have no numeric score in both logs")
    return {
        name: _paired(name, old.tasks[name], new.tasks[name], metric, named_lower=lower_is_better)
        for name in scored
    }


def incomplete(old: Log, new: Log) -> dict[str, str]:
    """Return the tasks that cannot pass, with the reason: NEW lacks them, or a log is unfinished.

    A task without a numeric score in OLD has nothing to lose.
    """
    reasons = dict[str, str]()
    for name, task in old.tasks.items():
        if _has_scores(old, name) and name not in new.tasks:
            reasons[name] = "only in OLD"
        elif _has_scores(old, name) and not _has_scores(new, name):
            reasons[name] = "no numeric score in NEW"
        elif task.unfinished:
            reasons[name] = f"OLD is unfinished: {task.unfinished}"
        elif name in new.tasks and new.tasks[name].unfinished:
            reasons[name] = f"NEW is unfinished: {new.tasks[name].unfinished}"
    return reasons


def left_out(old: Log, new: Log) -> list[str]:
    """Return remarks on the tasks that are left out, as NEW's own, and may be."""
    only_new = [name for name in new.tasks if name not in old.tasks]
    unscored = [name for name in old.tasks if not _has_scores(old, name)]
    kinds = {"tasks only in NEW": only_new, "tasks without a numeric score in OLD": unscored}
    return [f"{kind}: {_listed(names)}" for kind, names in kinds.items() if names]


def _has_scores(log: Log, name: str) -> bool:
    return any(sample.metrics for sample in log.tasks[name].samples)


def _listed(names: Iterable[str]) -> str:
    names = [*names]
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown or "none"  # noqa: PLR2004


def _paired(
    name: str, old: TaskLog, new: TaskLog, metric: str | None, *, named_lower: bool
) -> PairedTask:
    both = _same_samples(name, old, new)
    chosen = _metric(name, both, metric)
    scored = [(a, b) for a, b in both if chosen in a.metrics and chosen in b.metrics]
    if not scored:
        raise DataError(f"task {name}: no pair has the metric {chosen!r} in both logs")
    higher = {**new.higher_is_better, **old.higher_is_better}.get(chosen.partition(",")[0])
    lower = named_lower or higher is False
    sign = -1.0 if lower else 1.0
    compared = {id(sample) for sample, _ in scored}
    return PairedTask(
        metric=chosen,
        pairs=[
            Pair(sign * a.metrics[chosen], sign * b.metrics[chosen], a.cluster) for a, b in scored
        ],
        clustered=any(a.cluster is not None for a, _ in scored),
        lower_is_better=lower,
        assumed=higher is None and not named_lower,
        missing=[
            sign * sample.metrics[chosen]
            for sample in old.samples
            if chosen in sample.metrics and id(sample) not in compared
        ],
        only_old=len(old.samples) - len(both),
        only_new=len(new.samples) - len(both),
        unscored=len(both) - len(scored),
        prompts_differ=sum(a.prompt != b.prompt for a, b in scored),
    )


def _same_samples(name: str, old: TaskLog, new: TaskLog) -> list[tuple[Sample, Sample]]:
    """Return the samples that both logs have, in the order of the old one.

    Raises:
        DataError: if they share none.
    """
    before, after = _by_identity(old.samples), _by_identity(new.samples)
    both = [
        pair
        for identity in before.keys() & after.keys()
        for pair in zip(before[identity], after[identity], strict=False)
    ]
    if not both:
        raise DataError(
            f"task {name}: none of {len(old.samples)} samples of OLD is among {len(new.samples)} "
            "of NEW: their inputs or targets differ"
        )
    order = {id(sample): number for number, sample in enumerate(old.samples)}
    return sorted(both, key=lambda pair: order[id(pair[0])])


def _by_identity(samples: Iterable[Sample]) -> Mapping[str, list[Sample]]:
    by_identity = defaultdict[str, list[Sample]](list)
    for sample in samples:
        by_identity[sample.identity].append(sample)
    return by_identity


def _metric(name: str, pairs: Sequence[tuple[Sample, Sample]], metric: str | None) -> str:
    """Return the metric of a task: the named one, its first binary one, or its first.

    Raises:
        DataError: if the logs share no metric, or not the named one.
    """
    old, new = _values(a for a, _ in pairs), _values(b for _, b in pairs)
    values = {key: seen | new[key] for key, seen in old.items() if key in new}
    if metric is not None and metric not in values:
        raise DataError(f"task {name}: no metric {metric!r}; --metric can be {_listed(values)}")
    if not values:
        raise DataError(
            f"task {name}: the logs share no metric: OLD has {_listed(old)}, NEW {_listed(new)}"
        )
    binary = (key for key, seen in values.items() if seen <= {0.0, 1.0})
    return metric or next(binary, next(iter(values)))


def _values(samples: Iterable[Sample]) -> Mapping[str, set[float]]:
    """Return the values of each metric."""
    values = defaultdict[str, set[float]](set)
    for sample in samples:
        for key, value in sample.metrics.items():
            values[key].add(value)
    return values
