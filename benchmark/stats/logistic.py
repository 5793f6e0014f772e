"""Logistic regression with cluster-robust errors, for a few predictors with few values.

The coefficients are the maximum-likelihood ones, by Newton's method (iteratively reweighted least
squares) on the distinct rows of the design. The errors are the sandwich of Liang and Zeger (1986)
over clusters, times ``G/(G-1) * (N-1)/(N-k)`` for G clusters, N queries and k coefficients, with
Student's t of G-1 degrees of freedom.

If a combination of predictors is right (or wrong) without exception, the likelihood has no maximum:
coefficients grow without bound. This is called separation. It is found by linear programming
(Konis 2007). The coefficients concerned are then reported as unbounded, with their sign, and the
others are those of the limit, which the remaining queries determine.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, isfinite, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.stats.constants import MIN_CLUSTERS_TO_BE_SURE
from benchmark.stats.intervals import Interval, student_quantile, student_two_sided

Floats = NDArray[np.float64]

INTERCEPT = "intercept"

_STEPS = 50
_HALVINGS = 40
_CONVERGED = 1e-10
_ZERO = 1e-7
"""Values of the linear programs that are zero up to rounding."""


@dataclass(frozen=True, slots=True)
class OddsEffect:
    """The effect of one predictor on the log odds of a right answer, given the others.

    Attributes:
        log_odds: the coefficient; infinite under separation, None if it is not identified.
        error: its cluster-robust standard error; None without a finite coefficient.
        clusters: the clusters that it was estimated from.
        note: why the coefficient is not finite; empty if it is.
    """

    log_odds: float | None
    error: float | None
    clusters: int
    note: str = ""

    @property
    def odds_ratio(self) -> float | None:
        """The factor on the odds of a right answer; 0 or infinite under separation."""
        if self.log_odds is None:
            return None
        return exp(self.log_odds) if self.log_odds < _LARGEST else float("inf")

    @property
    def interval(self) -> Interval | None:
        """The 95 % interval of the odds ratio; None with fewer than 20 clusters."""
        if not self._has_error or self.log_odds is None or self.error is None:
            return None
        margin = student_quantile(self.clusters - 1, 0.975) * self.error
        return Interval(*(exp(min(self.log_odds + m, _LARGEST)) for m in (-margin, margin)))

    @property
    def p(self) -> float | None:
        """The two-sided p-value of "no effect"; None without an interval."""
        if not self._has_error or self.log_odds is None or self.error is None:
            return None
        return student_two_sided(self.clusters - 1, self.log_odds / self.error)

    @property
    def _has_error(self) -> bool:
        return bool(self.error) and self.clusters >= MIN_CLUSTERS_TO_BE_SURE

    def as_json(self) -> dict[str, object]:
        """Return odds ratio, interval and p-value; an unbounded ratio is null, with a note."""
        ratio, interval = self.odds_ratio, self.interval
        bounded = ratio is not None and isfinite(ratio) and not self.note
        return {
            "odds_ratio": round(ratio, 4) if bounded and ratio is not None else None,
            "low": round(interval.low, 4) if interval else None,
            "high": round(interval.high, 4) if interval else None,
            "p": self.p,
            **({"note": self.note} if self.note else {}),
        }


_LARGEST = 500.0
"""Log odds whose exponential is still a number."""


@dataclass(frozen=True, slots=True)
class LogisticFit:
    """The effects of all predictors and of the intercept.

    Attributes:
        effects: the effects by predictor.
        queries: all queries.
        separated: the queries that a combination of predictors decides without exception.
    """

    effects: Mapping[str, OddsEffect]
    queries: int
    separated: int

    def as_json(self) -> dict[str, object]:
        """Return the effects by predictor, and the numbers of queries."""
        effects = {name: effect.as_json() for name, effect in self.effects.items()}
        return {"effects": effects, "queries": self.queries, "separated": self.separated}


class _Rows(NamedTuple):
    """The distinct rows of a design with their queries: all, and the right ones."""

    design: Floats
    total: Floats
    right: Floats


def logistic_regression(
    predictors: Mapping[str, Sequence[float]], right: Sequence[bool], clusters: Sequence[int]
) -> LogisticFit:
    """Regress right answers on predictors, with an intercept.

    Args:
        predictors: the values of each predictor, one per query.
        right: whether each query is right.
        clusters: the cluster of each query.

    Raises:
        ValueError: if there is no query, or the lengths differ.
    """
    if not right or any(len(column) != len(right) for column in (*predictors.values(), clusters)):
        raise ValueError("one value per query is needed, of every predictor and of the clusters")
    names = (INTERCEPT, *predictors)
    design = np.column_stack([np.ones(len(right)), *map(np.asarray, predictors.values())])
    outcomes = np.asarray(right, dtype=np.float64)
    undecided, signs = _separation(design, outcomes)
    remaining = design[undecided]
    columns = _independent(remaining)
    fits = _fit(remaining[:, columns], outcomes[undecided], np.asarray(clusters)[undecided])
    fitted = dict(zip(columns, fits, strict=True))
    identified = _identified(remaining, columns)
    return LogisticFit(
        {
            name: fitted[number]
            if number in identified and signs[number] == 0
            else _unbounded(float(signs[number]))
            for number, name in enumerate(names)
        },
        queries=len(right),
        separated=int((~undecided).sum()),
    )


def _unbounded(sign: float) -> OddsEffect:
    if sign:
        limit = "infinity" if sign > 0 else "0"
        note = f"separated: no finite odds ratio fits best, its limit is {limit}"
        return OddsEffect(sign * float("inf"), None, 0, note)
    return OddsEffect(None, None, 0, "not identified: it does not vary on its own")


def _independent(design: Floats) -> list[int]:
    """Return the columns that are no combination of those before them."""
    rows = np.unique(design, axis=0)
    columns: list[int] = []
    for column in range(design.shape[1]):
        if len(rows) and np.linalg.matrix_rank(rows[:, [*columns, column]]) > len(columns):
            columns.append(column)
    return columns


def _identified(design: Floats, columns: Sequence[int]) -> set[int]:
    """Return the columns whose coefficients the rows determine: no others can replace them."""
    rows, width = np.unique(design, axis=0), design.shape[1]
    others = {column: [o for o in range(width) if o != column] for column in columns}
    return {c for c in columns if np.linalg.matrix_rank(rows[:, others[c]]) < len(columns)}


def _grouped(design: Floats, outcomes: Floats) -> tuple[_Rows, NDArray[np.intp]]:
    """Return the distinct rows, and the row of each query."""
    rows, places = np.unique(design, axis=0, return_inverse=True)
    places = places.reshape(-1)
    total = np.bincount(places, minlength=len(rows)).astype(np.float64)
    right = np.bincount(places, outcomes, minlength=len(rows)).astype(np.float64)
    return _Rows(rows, total, right), places


def _separation(design: Floats, outcomes: Floats) -> tuple[NDArray[np.bool_], Floats]:
    """Return which queries stay undecided, and the sign of each coefficient without bound.

    A coefficient that may grow in both directions has no sign; its column does not vary on its own
    in the undecided queries either.
    """
    grouped, places = _grouped(design, outcomes)
    undecided = np.ones(len(grouped.total), dtype=bool)
    signs = np.zeros(design.shape[1])
    while undecided.any():
        rows = _Rows(*(part[undecided] for part in grouped))
        if not _may_separate(rows):
            break
        pushed = _signed(rows)
        direction = _steepest(rows, pushed.sum(axis=0))
        decided = undecided & (abs(grouped.design @ direction) > _ZERO)
        if not decided.any():
            break
        undecided &= ~decided
        for column in np.flatnonzero(signs == 0):
            unit = np.eye(len(signs))[column]
            up, down = (abs(_steepest(rows, s * unit)[column]) > _ZERO for s in (1, -1))
            signs[column] = int(up) - int(down)
    return undecided[places], signs


def _may_separate(rows: _Rows) -> bool:
    """Return False if the rows with both outcomes alone bound all coefficients, as in most data."""
    mixed = (rows.right > 0) & (rows.right < rows.total)
    if not mixed.any():
        return True
    rank = np.linalg.matrix_rank
    return bool(rank(rows.design[mixed]) < rank(rows.design))


def _signed(rows: _Rows) -> Floats:
    """Return the rows with one outcome only, those that are wrong with the opposite sign."""
    single = (rows.right == 0) | (rows.right == rows.total)
    signs = np.where(rows.right[single] > 0, 1.0, -1.0)
    return np.asarray(signs[:, None] * rows.design[single])


def _steepest(rows: _Rows, objective: Floats) -> Floats:
    """Return the coefficients (-1..1) with the largest objective that make no row less likely.

    Along them no row with both outcomes changes.
    """
    from scipy.optimize import linprog

    mixed = (rows.right > 0) & (rows.right < rows.total)
    equal = {"A_eq": rows.design[mixed], "b_eq": np.zeros(mixed.sum())} if mixed.any() else {}
    pushed = _signed(rows)
    solution = linprog(
        -objective, A_ub=-pushed, b_ub=np.zeros(len(pushed)), bounds=(-1, 1), **equal
    )
    return np.asarray(solution.x, dtype=np.float64)


def _fit(design: Floats, outcomes: Floats, clusters: NDArray[np.int64]) -> list[OddsEffect]:
    """Return the effects of independent columns, for which the likelihood has a maximum."""
    if not design.size:
        return []
    rows, places = _grouped(design, outcomes)
    coefficients = _newton(rows)
    chances = _logistic(rows.design @ coefficients)
    bread = np.linalg.inv(_information(rows, chances))
    residuals = outcomes - chances[places]
    _, cluster = np.unique(clusters, return_inverse=True)
    count, (queries, width) = int(cluster.max()) + 1, design.shape
    scores = np.column_stack(
        [np.bincount(cluster.reshape(-1), column * residuals) for column in design.T]
    )
    if count > 1 and queries > width:
        correction = count / (count - 1) * (queries - 1) / (queries - width)
        variances = np.diag(bread @ scores.T @ scores @ bread) * correction
        errors = [sqrt(max(0.0, variance)) for variance in variances]
    else:
        errors = [None] * width  # type: ignore[list-item]
    return [
        OddsEffect(float(value), error, count)
        for value, error in zip(coefficients, errors, strict=True)
    ]


def _newton(rows: _Rows) -> Floats:
    """Return the coefficients with the largest likelihood."""
    coefficients = np.zeros(rows.design.shape[1])
    value = _log_likelihood(rows, coefficients)
    for _ in range(_STEPS):
        chances = _logistic(rows.design @ coefficients)
        gradient = rows.design.T @ (rows.right - rows.total * chances)
        step = np.linalg.solve(_information(rows, chances), gradient)
        for _ in range(_HALVINGS):
            new = _log_likelihood(rows, coefficients + step)
            if new >= value:
                break
            step /= 2
        coefficients, value = coefficients + step, max(new, value)
        if abs(step).max() < _CONVERGED:
            break
    return coefficients


def _information(rows: _Rows, chances: Floats) -> Floats:
    weights = rows.total * chances * (1 - chances)
    return np.asarray((rows.design * weights[:, None]).T @ rows.design)


def _logistic(values: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -_LARGEST, _LARGEST))))


def _log_likelihood(rows: _Rows, coefficients: Floats) -> float:
    values = rows.design @ coefficients
    return float((rows.right * values - rows.total * np.logaddexp(0, values)).sum())
