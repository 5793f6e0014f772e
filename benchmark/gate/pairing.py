"""Pair the samples of two logs by their identity."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

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
        prompts_differ: paired samples whose prompts are known and differ.
        others: further scores of the old log, which are not compared.
        doubts: why the direction may be another one, in words.
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
    others: Sequence[str] = ()
    doubts: Sequence[str] = ()

    @property
    def worst(self) -> float:
        """The score of a lost sample, unless a worse one was seen: that of a wrong answer."""
        return -1.0 if self.lower_is_better else 0.0

    @property
    def remarks(self) -> list[str]:
        """Return doubts, what is missing or could not be paired, and prompts that differ."""
        lines = [*self.doubts]
        if self.missing:
            lines.append(f"without {self.metric} in NEW, counted as lost: {len(self.missing)}")
        counts = {
            f"without {self.metric} in OLD": self.only_old + self.unscored - len(self.missing),
            "only in NEW": self.only_new,
        }
        left_out = [f"{count} {where}" for where, count in counts.items() if count]
        lines += [f"left out: {', '.join(left_out)}"] if left_out else []
        if self.prompts_differ:
            lines.append(f"prompts differ in {self.prompts_differ} of {len(self.pairs)} pairs")
        return lines


class Pairing(NamedTuple):
    """The tasks that can be compared, and why tasks cannot pass: some of these, or others of OLD.

    A task cannot pass if NEW lacks it or its score, or if a log is unfinished.
    """

    tasks: Mapping[str, PairedTask]
    incomplete: Mapping[str, str]


def pair_logs(
    old: Log, new: Log, metrics: Sequence[str] = (), *, lower_is_better: bool = False
) -> Pairing:
    """Pair the samples of every task that has the score to compare in both logs.

    A document that occurs several times in a log, as duplicates in a dataset do, is paired by its
    number in the logs, or else in order; its samples are a cluster.

    Args:
        old: the log before.
        new: the log after.
        metrics: the scores to compare, as ``NAME`` of every task or ``TASK=NAME``; by default a
            task's first in OLD that is 0 or 1 for all samples, or else its first. NEW does not
            choose: a score that it lacks would be exchanged for a better one.
        lower_is_better: whether it is where the logs do not say; by default higher is.

    Raises:
        DataError: if no task is in both logs, none has scores in both, no sample of a task can be
            paired, or a task has no score of that name.
    """
    names = [name for name in old.tasks if name in new.tasks]
    if not names:
        raise DataError(
            f"the logs share no task: OLD has {_listed(old.tasks)}, NEW {_listed(new.tasks)}"
        )
    scored = [name for name in names if _has_scores(old, name) and _has_scores(new, name)]
    if not scored:
        raise DataError(f"task {names[0]}: its samples have no numeric score in both logs")
    of_a_task = [text for text in metrics if any(text.startswith(f"{n}=") for n in old.tasks)]
    of_all = [text for text in metrics if text not in of_a_task]
    named = {
        name: [
            *of_all,
            *(t.removeprefix(f"{name}=") for t in of_a_task if t.startswith(f"{name}=")),
        ]
        for name in scored
    }
    chosen = {name: _metric(name, old.tasks[name], named[name]) for name in scored}
    in_new = {name: _values(new.tasks[name].samples) for name in scored}
    lacking = {
        name: f"no {metric} in NEW, which has {_listed(in_new[name])}"
        for name, metric in chosen.items()
        if metric not in in_new[name]
    }
    if lacking.keys() >= chosen.keys():
        name, reason = next(iter(lacking.items()))
        raise DataError(f"task {name}: {reason}; choose one that both have with --metric")
    return Pairing(
        {
            name: _paired(
                name, old.tasks[name], new.tasks[name], metric, named_lower=lower_is_better
            )
            for name, metric in chosen.items()
            if name not in lacking
        },
        {**_incomplete(old, new), **lacking},
    )


def _incomplete(old: Log, new: Log) -> dict[str, str]:
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


def _paired(name: str, old: TaskLog, new: TaskLog, metric: str, *, named_lower: bool) -> PairedTask:
    both = _same_samples(name, old, new)
    scored = [(a, b) for a, b in both if metric in a.metrics and metric in b.metrics]
    if not scored:
        raise DataError(f"task {name}: no pair has the metric {metric!r} in both logs")
    direction = _direction(old, new, metric, named_lower=named_lower)
    sign = -1.0 if direction.lower else 1.0
    compared = {id(sample) for sample, _ in scored}
    times = Counter(a.identity for a, _ in both)
    clusters = [a.cluster or (a.identity if times[a.identity] > 1 else None) for a, _ in scored]
    return PairedTask(
        metric=metric,
        pairs=[
            Pair(sign * a.metrics[metric], sign * b.metrics[metric], cluster)
            for (a, b), cluster in zip(scored, clusters, strict=True)
        ],
        clustered=any(cluster is not None for cluster in clusters),
        lower_is_better=direction.lower,
        assumed=direction.assumed,
        missing=[
            sign * sample.metrics[metric]
            for sample in old.samples
            if metric in sample.metrics and id(sample) not in compared
        ],
        only_old=len(old.samples) - len(both),
        only_new=len(new.samples) - len(both),
        unscored=len(both) - len(scored),
        prompts_differ=sum(a.prompt != b.prompt for a, b in scored if a.prompt and b.prompt),
        others=[key for key in _values(old.samples) if key != metric],
        doubts=direction.doubts,
    )


class _Direction(NamedTuple):
    """Whether a lower score is better, whether that is a guess, and what speaks against it."""

    lower: bool
    assumed: bool
    doubts: Sequence[str] = ()


def _direction(old: TaskLog, new: TaskLog, metric: str, *, named_lower: bool) -> _Direction:
    """Return the direction that the logs state, OLD's first, or else the named one."""
    name = metric.partition(",")[0]
    before, after = (task.higher_is_better.get(name) for task in (old, new))
    higher = after if before is None else before
    if higher is None:
        return _Direction(named_lower, not named_lower)
    doubts = []
    if before is not None and after is not None and before != after:
        side = "higher" if before else "lower"
        doubts.append(f"OLD says that a {side} {metric} is better, NEW does not")
    if named_lower and higher:
        doubts.append(f"--lower-is-better is not for {metric}: its log says that higher is")
    return _Direction(not higher, assumed=False, doubts=doubts)


def _same_samples(name: str, old: TaskLog, new: TaskLog) -> list[tuple[Sample, Sample]]:
    """Return the samples that both logs have, in the order of the old one.

    Raises:
        DataError: if they share none.
    """
    before, after = _by_identity(old.samples), _by_identity(new.samples)
    both = [
        pair
        for identity in before.keys() & after.keys()
        for pair in _matched(before[identity], after[identity])
    ]
    if not both:
        raise DataError(
            f"task {name}: none of {len(old.samples)} samples of OLD is among {len(new.samples)} "
            "of NEW: their inputs or targets differ"
        )
    order = {id(sample): number for number, sample in enumerate(old.samples)}
    return sorted(both, key=lambda pair: order[id(pair[0])])


def _matched(before: list[Sample], after: list[Sample]) -> list[tuple[Sample, Sample]]:
    """Return pairs of samples of one document: by number, and those without a partner in order.

    Numbers 1, 5, 7 before and 5, 8 after are paired as 5 with 5, and 1 with 8.
    """
    by_number = {sample.number: sample for sample in after if sample.number}
    same = [(one, by_number[one.number]) for one in before if one.number in by_number]
    taken = {id(sample) for pair in same for sample in pair}
    rest = ([sample for sample in side if id(sample) not in taken] for side in (before, after))
    return [*same, *zip(*rest, strict=False)]


def _by_identity(samples: Iterable[Sample]) -> Mapping[str, list[Sample]]:
    by_identity = defaultdict[str, list[Sample]](list)
    for sample in samples:
        by_identity[sample.identity].append(sample)
    return by_identity


def _metric(name: str, task: TaskLog, named: Sequence[str]) -> str:
    """Return the metric of a task of OLD: the last named one, its first binary one, or its first.

    Raises:
        DataError: if it does not have the named one.
    """
    values = _values(task.samples)
    if not named:
        binary = (key for key, seen in values.items() if seen <= {0.0, 1.0})
        return next(binary, next(iter(values)))
    if named[-1] not in values:
        choose = f"--metric {name}=NAME can be {_listed(values)}"
        raise DataError(f"task {name}: no metric {named[-1]!r} in OLD; {choose}")
    return named[-1]


def _values(samples: Iterable[Sample]) -> Mapping[str, set[float]]:
    """Return the values of each metric."""
    values = defaultdict[str, set[float]](set)
    for sample in samples:
        for key, value in sample.metrics.items():
            values[key].add(value)
    return values
