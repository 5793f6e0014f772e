"""What went wrong in a run: types of error, accuracy by operation and by number of objects.

Everything is computed from the states and the answers alone, by the main score, ``set``.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

from benchmark.boxes.histories import CHANGE_KINDS, LAST_OPERATIONS, StateHistory
from benchmark.records import Answer, State, Tally
from benchmark.scoring.error_types import ERROR_TYPES, RIGHT
from benchmark.stats.intervals import clustered_interval
from benchmark.stats.logistic import LogisticFit, logistic_regression
from benchmark.stats.summary import Estimate
from benchmark.tasks import Task


class QueryRow(NamedTuple):
    """One query as it is analysed.

    ``code`` is the letter of its type of error, or that of a right answer. ``last_change`` is the
    kind of the last change of the box, ``last_operation`` the last operation of the state as the
    box sees it. ``answered`` objects are in the answer, ``hits`` of them are right.
    """

    sequence: int
    numops: int
    objects: int
    code: str
    last_change: str
    last_operation: str
    answered: int
    hits: int

    @property
    def right(self) -> bool:
        """Whether the answer is right."""
        return self.code == RIGHT


class AnsweredState(NamedTuple):
    """A state with a model's answer, and the type of error of every query as one letter.

    ``sequence`` is the cluster of statistics.
    """

    sequence: int
    state: State
    history: StateHistory
    answer: Answer
    codes: str


def answered(task: Task, state: State, answer: Answer) -> AnsweredState:
    """Return a state with an answer, and the types of its errors."""
    history = task.history(state.description)
    codes = task.error_codes(answer, history)
    return AnsweredState(state.sample_id, state, history, answer, codes)


def query_rows(one: AnsweredState) -> list[QueryRow]:
    """Return a row per query of a state."""
    columns = zip(one.state.queries, one.history.boxes, one.codes, one.answer.contents, strict=True)
    return [
        QueryRow(
            one.sequence,
            query.numops,
            len(query.gold),
            code,
            box.last_change,
            box.last,
            len(contents or ()),
            len((contents or frozenset()) & set(query.gold)),
        )
        for query, box, code, contents in columns
    ]


class GroupEstimates(NamedTuple):
    """The accuracy of a group of queries: all, and those with numops 0 and numops >= 1."""

    overall: Estimate
    unchanged: Estimate
    nontrivial: Estimate


@dataclass(frozen=True, slots=True)
class ErrorSummary:
    """What went wrong in a run.

    Attributes:
        codes: one letter per query of each state, see
            :func:`benchmark.scoring.error_types.error_codes`.
        types: the wrong queries by type and numops; every type is a key.
        queries: all queries by numops.
        groups: the accuracy by ``last_change``, ``last_operation`` and ``objects`` (in the box).
        whole_states: the states with all queries right.
        objects: objects in the answers, in the boxes, and in both.
        alone: the regression on numops alone; None if all or no queries are right.
        adjusted: the same with the number of objects and empty boxes.
    """

    codes: tuple[str, ...]
    types: Mapping[str, Mapping[int, int]]
    queries: Counter[int]
    groups: Mapping[str, Mapping[str, GroupEstimates]]
    whole_states: Estimate
    objects: Mapping[str, int]
    alone: LogisticFit | None
    adjusted: LogisticFit | None

    @property
    def wrong(self) -> int:
        """The number of wrong queries."""
        return sum(map(self.count, self.types))

    def count(self, name: str, least: int = 0) -> int:
        """Return the wrong queries of a type with at least this numops."""
        return sum(number for numops, number in self.types[name].items() if numops >= least)

    def as_json(self) -> dict[str, object]:
        """Return counts by type, accuracies by group, whole states, objects and regressions."""
        return {
            "types": {
                name: {
                    "overall": self.count(name),
                    "nontrivial": self.count(name, 1),
                    "by_numops": {str(n): by_numops.get(n, 0) for n in sorted(self.queries)},
                }
                for name, by_numops in self.types.items()
            },
            "by": {
                name: {value: _group_as_json(group) for value, group in groups.items()}
                for name, groups in self.groups.items()
            },
            "whole_states": _estimate_as_json(self.whole_states),
            "objects": dict(self.objects),
            "regression": {
                "numops_alone": self.alone.as_json() if self.alone else None,
                "with_objects": self.adjusted.as_json() if self.adjusted else None,
            },
            "codes": list(self.codes),
        }


GROUPS: Mapping[str, Callable[[QueryRow], str]] = {
    "last_change": lambda row: row.last_change,
    "last_operation": lambda row: row.last_operation,
    "objects": lambda row: str(row.objects),
}
"""What accuracies are grouped by, and the group of a query."""

_ORDER: Mapping[str, Sequence[str]] = {
    "last_change": ("none", *CHANGE_KINDS),
    "last_operation": LAST_OPERATIONS,
}


def summarize_errors(states: Iterable[AnsweredState]) -> ErrorSummary:
    """Return what went wrong in the answers to at least one state."""
    by_state = list(map(query_rows, states))
    rows = [row for state in by_state for row in state]
    whole = [(state[0].sequence, all(row.right for row in state)) for state in by_state]
    names = {error.code: error.name for error in ERROR_TYPES}
    counted = Counter((names[row.code], row.numops) for row in rows if not row.right)
    numops = Counter(row.numops for row in rows)
    return ErrorSummary(
        codes=tuple("".join(row.code for row in state) for state in by_state),
        types={
            error.name: {n: counted[error.name, n] for n in sorted(numops)} for error in ERROR_TYPES
        },
        queries=numops,
        groups={name: _grouped(name, rows) for name in GROUPS},
        whole_states=_estimate(whole),
        objects={
            "answered": sum(row.answered for row in rows),
            "present": sum(row.objects for row in rows),
            "both": sum(row.hits for row in rows),
        },
        alone=_regression(rows, adjusted=False),
        adjusted=_regression(rows, adjusted=True),
    )


def _grouped(name: str, rows: Iterable[QueryRow]) -> dict[str, GroupEstimates]:
    groups = defaultdict[str, list[QueryRow]](list)
    for row in rows:
        groups[GROUPS[name](row)].append(row)
    order = _ORDER.get(name, sorted(groups))
    return {value: _estimates(groups[value]) for value in order if value in groups}


def _estimates(rows: Sequence[QueryRow]) -> GroupEstimates:
    """Return the estimates of a group, and of its queries with numops 0 and numops >= 1."""
    parts = (rows, [r for r in rows if not r.numops], [r for r in rows if r.numops])
    return GroupEstimates(*(_estimate((row.sequence, row.right) for row in part) for part in parts))


def _estimate(queries: Iterable[tuple[int, bool]]) -> Estimate:
    pairs = list(queries)
    return Estimate(Tally(sum(right for _, right in pairs), len(pairs)), clustered_interval(pairs))


PREDICTORS: Mapping[str, Callable[[QueryRow], float]] = {
    "first_change": lambda row: float(row.numops > 0),
    "further_changes": lambda row: float(max(row.numops - 1, 0)),
    "further_objects": lambda row: float(max(row.objects - 1, 0)),
    "empty": lambda row: float(not row.objects),
}
"""The predictors of the regressions; the first two are numops."""

_OF_NUMOPS = ("first_change", "further_changes")


def _regression(rows: Sequence[QueryRow], *, adjusted: bool) -> LogisticFit | None:
    right = [row.right for row in rows]
    if len(set(right)) == 1:
        return None
    names = PREDICTORS if adjusted else _OF_NUMOPS
    columns = {name: [PREDICTORS[name](row) for row in rows] for name in names}
    return logistic_regression(columns, right, [row.sequence for row in rows])


def _group_as_json(group: GroupEstimates) -> dict[str, object]:
    return {
        name: _estimate_as_json(estimate)
        for name, estimate in group._asdict().items()
        if estimate.tally.total
    }


def _estimate_as_json(estimate: Estimate) -> dict[str, object]:
    low, high = (round(100 * end, 2) for end in estimate.interval)
    return {**asdict(estimate.tally), "low": low, "high": high}
