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
        only_old: samples of the old log alone.
        only_new: samples of the new log alone.
        unscored: paired samples that lack the metric in one of the logs.
        prompts_differ: paired samples whose prompts differ.
    """

    metric: str
    pairs: Sequence[Pair]
    clustered: bool
    lower_is_better: bool
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


def pair_logs(old: Log, new: Log, metric: str | None = None) -> dict[str, PairedTask]:
    """Pair the samples of every task that both logs have.

    A sample that occurs several times in a log, as duplicates in a dataset do, is paired in order.

    Args:
        old: the log before.
        new: the log after.
        metric: the score to compare; by default a task's first that is 0 or 1 for all samples, or
            else its first.

    Raises:
        DataError: if no task is in both logs, no sample of a task can be paired, or no sample has
            the metric.
    """
    names = [name for name in old.tasks if name in new.tasks]
    if not names:
        raise DataError(
            f"the logs share no task: OLD has {_listed(old.tasks)}, NEW {_listed(new.tasks)}"
        )
    return {name: _paired(name, old.tasks[name], new.tasks[name], metric) for name in names}


def unshared(old: Log, new: Log) -> list[str]:
    """Return a remark on the tasks that only one log has; none if they are the same."""
    sides = (("OLD", old.tasks, new.tasks), ("NEW", new.tasks, old.tasks))
    return [
        f"tasks only in {side}: {_listed(rest)}"
        for side, one, other in sides
        if (rest := [name for name in one if name not in other])
    ]


def _listed(names: Iterable[str]) -> str:
    names = [*names]
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown or "none"  # noqa: PLR2004


def _paired(name: str, old: TaskLog, new: TaskLog, metric: str | None) -> PairedTask:
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
    both.sort(key=lambda pair: order[id(pair[0])])
    chosen = _metric(name, both, metric)
    lower = chosen.partition(",")[0] in old.lower_is_better | new.lower_is_better
    sign = -1.0 if lower else 1.0
    scored = [(a, b) for a, b in both if chosen in a.metrics and chosen in b.metrics]
    if not scored:
        raise DataError(f"task {name}: no pair has the metric {chosen!r} in both logs")
    return PairedTask(
        metric=chosen,
        pairs=[
            Pair(sign * a.metrics[chosen], sign * b.metrics[chosen], a.cluster) for a, b in scored
        ],
        clustered=any(a.cluster is not None for a, _ in scored),
        lower_is_better=lower,
        only_old=len(old.samples) - len(both),
        only_new=len(new.samples) - len(both),
        unscored=len(both) - len(scored),
        prompts_differ=sum(a.prompt != b.prompt for a, b in scored),
    )


def _by_identity(samples: Iterable[Sample]) -> Mapping[str, list[Sample]]:
    by_identity = defaultdict[str, list[Sample]](list)
    for sample in samples:
        by_identity[sample.identity].append(sample)
    return by_identity


def _metric(name: str, pairs: Sequence[tuple[Sample, Sample]], metric: str | None) -> str:
    """Return the metric of a task: the named one, its first binary one, or its first.

    Raises:
        DataError: if it has no metric, or another than the named one.
    """
    values = defaultdict[str, set[float]](set)
    for pair in pairs:
        for sample in pair:
            for key, value in sample.metrics.items():
                values[key].add(value)
    if not values:
        raise DataError(f"task {name}: its samples have no numeric score")
    if metric is None:
        return next((key for key, seen in values.items() if seen <= {0.0, 1.0}), next(iter(values)))
    if metric not in values:
        raise DataError(f"task {name}: no metric {metric!r}; --metric can be {_listed(values)}")
    return metric
