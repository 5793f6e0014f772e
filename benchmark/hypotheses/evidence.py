"""What a set of results says about a difference: by the paired test where it can be had.

Two results of the same data whose outcomes are known are compared query by query, clustered by
sequence; others by counts, with the stated design effect.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from benchmark.hypotheses.results import NONTRIVIAL, Queries, Result, Results
from benchmark.models.registry import registry
from benchmark.models.registry_types import Pair, Training
from benchmark.records import Outcome
from benchmark.stats import contrast
from benchmark.stats.contrast import Contrast
from benchmark.stats.intervals import Interval
from benchmark.stats.paired import paired_test
from benchmark.stats.published import holm, unpaired_test

SEED = 20240531
"""Of signs and resamples: the same results give the same p-values, in whatever order."""

_Z = 1.959963984540054

Term = tuple[int, Result, Queries]
"""A sign, and the correct answers of a result on some queries that it is given to."""


@dataclass(frozen=True, slots=True)
class AccuracyDifference:
    """Two figures in per cent, and how sure it is that they differ.

    ``low`` and ``high`` are the 95 % interval of after minus before; ``p`` is two-sided, and not
    corrected for being one of several. ``how`` names the test: ``paired`` and ``clustered`` are
    of outcomes by sequence, ``counts`` is of counts with the stated design effect.
    """

    before: float
    after: float
    low: float
    high: float
    p: float
    how: Literal["paired", "clustered", "counts"]

    @property
    def points(self) -> float:
        """After minus before."""
        return self.after - self.before


class Evidence:
    """A set of results, and the tests on it; each is made once."""

    def __init__(self, results: Results) -> None:
        """Take the results."""
        self.results = results
        self._made: dict[Hashable, AccuracyDifference] = {}
        self._families: dict[Training, dict[str, float]] = {}

    def of_pair(self, pair_id: str, queries: Queries = NONTRIVIAL) -> AccuracyDifference | None:
        """Variant minus base; None where one is missing or has no such query."""
        pair = registry().pair(pair_id)
        base, variant = self.results.of(pair.base), self.results.of(pair.variant)
        return self.between(base, variant, queries)

    def between(
        self, base: Result | None, variant: Result | None, queries: Queries
    ) -> AccuracyDifference | None:
        """Variant minus base; None where one is missing or has no such query.

        Also where they are by different scores, which say nothing of each other.
        """
        if base is None or variant is None or base.score != variant.score:
            return None
        if not base.tally(queries).total or not variant.tally(queries).total:
            return None
        return self._once((base, variant, queries), partial(_compare, base, variant, queries))

    def adjusted(self, pair_id: str) -> float:
        """The pair's p-value at numops >= 1 by Holm's method over the pairs of its experiment.

        The pairs are the paper's, as far as there are results of them.
        """
        experiment = registry().pair(pair_id).experiment
        if experiment not in self._families:
            family = {
                pair.id: found.p
                for pair in _papers_pairs()
                if pair.experiment == experiment and (found := self.of_pair(pair.id))
            }
            adjusted = holm(list(family.values()))
            self._families[experiment] = dict(zip(family, adjusted, strict=True))
        return self._families[experiment][pair_id]

    def against_chance(self, result: Result | None, queries: Queries) -> AccuracyDifference | None:
        """Accuracy minus the random baseline's; None where one of them is not known."""
        if result is None or result.chance_on(queries) is None:
            return None
        rates = {numops: rate for numops, rate in result.chance.items() if numops in queries}
        return self._once((result, queries), partial(_against, result, rates))

    def against_rate(
        self, result: Result | None, queries: Queries, rate: float
    ) -> AccuracyDifference | None:
        """Accuracy minus a rate in 0..1; None where there is no such query."""
        if result is None or not result.by_numops or not result.tally(queries).total:
            return None
        rates = {numops: rate for numops in result.by_numops if numops in queries}
        return self._once((result, queries, rate), partial(_against, result, rates))

    def combined(self, minus: Sequence[Term], plus: Sequence[Term]) -> AccuracyDifference | None:
        """The one sum of signed shares of correct answers minus the other.

        A share is of all queries that any of the terms is about. None where a term has none.
        """
        terms = [*((-sign, result, queries) for sign, result, queries in minus), *plus]
        if not all(result.tally(queries).total for _, result, queries in terms):
            return None
        every = {queries for _, _, queries in terms}
        sums = [
            sum(sign * _share(result, queries, every) for sign, result, queries in side)
            for side in (minus, plus)
        ]
        made = partial(_combine, sums[0], sums[1], terms, every)
        return self._once(tuple(terms), made)

    def _once(self, key: Hashable, make: Callable[[], AccuracyDifference]) -> AccuracyDifference:
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]


def _papers_pairs() -> list[Pair]:
    return [pair for pair in registry().pairs.values() if pair.paper]


def _rng() -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(SEED))


def _outcomes(results: Sequence[Result]) -> list[tuple[Outcome, ...]] | None:
    """The outcomes of all of them, where they are known and of the same states."""
    found = [result.outcomes for result in results if result.outcomes is not None]
    same = len({result.data for result in results}) == 1
    return found if same and len(found) == len(results) else None


def _compare(base: Result, variant: Result, queries: Queries) -> AccuracyDifference:
    before, after = base.tally(queries), variant.tally(queries)
    if outcomes := _outcomes([base, variant]):
        own, other = outcomes
        test = paired_test(own, other, _rng(), queries.__contains__)
        interval, p_value = test.interval, test.two_sided
    else:
        counted = unpaired_test(before, after)
        interval = Interval(*(counted.difference + z * counted.error for z in (-_Z, _Z)))
        p_value = counted.two_sided
    how: Literal["paired", "counts"] = "paired" if outcomes else "counts"
    return AccuracyDifference(
        100 * before.accuracy, 100 * after.accuracy, *_percent(interval), p_value, how
    )


def _against(result: Result, rates: Mapping[int, float]) -> AccuracyDifference:
    cells = [(tally, rates[n]) for n, tally in result.by_numops.items() if n in rates]
    total = sum(tally.total for tally, _ in cells)
    expected = sum(tally.total * rate for tally, rate in cells) / total
    accuracy = sum(tally.correct for tally, _ in cells) / total
    if result.outcomes is None:
        made = contrast.counted_against(cells)
    else:
        made = contrast.clustered_against(result.outcomes, rates)
    return AccuracyDifference(
        100 * expected,
        100 * accuracy,
        *_percent(made.interval),
        made.two_sided,
        "counts" if result.outcomes is None else "clustered",
    )


def _share(result: Result, queries: Queries, every: set[Queries]) -> float:
    return result.tally(queries).correct / sum(result.tally(each).total for each in every)


def _combine(
    before: float, after: float, terms: Sequence[Term], every: set[Queries]
) -> AccuracyDifference:
    outcomes = _outcomes([result for _, result, _ in terms])
    made = _signed(terms, outcomes) if outcomes else _counted(terms, every)
    low, high = _percent(made.interval)
    how: Literal["paired", "counts"] = "paired" if outcomes else "counts"
    return AccuracyDifference(100 * before, 100 * after, low, high, made.two_sided, how)


def _signed(terms: Sequence[Term], outcomes: Sequence[Sequence[Outcome]]) -> Contrast:
    parts = [
        (own, dict.fromkeys(queries, sign))
        for (sign, _, queries), own in zip(terms, outcomes, strict=True)
    ]
    return contrast.signed_test(parts, _rng())


def _counted(terms: Sequence[Term], every: set[Queries]) -> Contrast:
    """A tally's coefficient is its sign times its part of the queries."""
    parts = []
    for sign, result, queries in terms:
        tally = result.tally(queries)
        total = sum(result.tally(each).total for each in every)
        parts.append((sign * tally.total / total, tally))
    return contrast.counted_contrast(parts)


def _percent(interval: Interval) -> tuple[float, float]:
    return 100 * interval.low, 100 * interval.high
