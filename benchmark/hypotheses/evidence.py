"""Tests of differences on a set of results.

Two results on the same data with known outcomes are compared query by query, clustered by
sequence. Other results are compared by counts, with the stated design effect.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from benchmark.hypotheses.results import NONTRIVIAL, Queries, Result, Results
from benchmark.models.registry import registry
from benchmark.models.registry_types import Training
from benchmark.records import Outcome
from benchmark.stats import contrast
from benchmark.stats.constants import MIN_CLUSTERS_TO_BE_SURE, fresh_rng
from benchmark.stats.contrast import Contrast
from benchmark.stats.decision import Decision
from benchmark.stats.differences import too_few
from benchmark.stats.intervals import Interval
from benchmark.stats.paired import paired_test
from benchmark.stats.published import DESIGN_EFFECT, holm, unpaired_test

Term = tuple[int, Result, Queries]
"""A sign for the correct answers of a result on a range of queries."""


@dataclass(frozen=True, slots=True)
class AccuracyDifference:
    """Two figures in per cent, and the decision whether they differ.

    Attributes:
        before: the first figure.
        after: the second figure.
        decision: whether they differ, by a p-value that is not adjusted for multiple testing.
        test: ``paired`` and ``clustered`` use outcomes by sequence, ``counts`` uses counts with
            the stated design effect.
    """

    before: float
    after: float
    decision: Decision
    test: Literal["paired", "clustered", "counts"]

    @property
    def points(self) -> float:
        """Return after minus before."""
        return self.after - self.before

    @property
    def interval(self) -> Interval | None:
        """Return the 95 % interval of after minus before; None if there is none."""
        interval = self.decision.effect.interval
        return interval and Interval(100 * interval.low, 100 * interval.high)

    @property
    def p(self) -> float:
        """Return the two-sided p-value, not adjusted for multiple testing."""
        return self.decision.p

    @property
    def detectable(self) -> float | None:
        """Return the smallest difference found with power 80 %, in points; None if unknown."""
        share = self.decision.effect.detectable
        return None if share is None else 100 * share


class Evidence:
    """A set of results and the tests on it; each test is computed once."""

    def __init__(self, results: Results, design_effect: float = DESIGN_EFFECT) -> None:
        """Store the results, and the factor on the binomial variance of counts."""
        self.results = results
        self.design_effect = design_effect
        self._tests: dict[Hashable, AccuracyDifference] = {}
        self._families: dict[Training, dict[str, float]] = {}

    def pair_difference(
        self, pair_id: str, queries: Queries = NONTRIVIAL
    ) -> AccuracyDifference | None:
        """Return variant minus base; None if a result is missing or has no such query."""
        pair = registry().pair(pair_id)
        base, variant = self.results.of(pair.base), self.results.of(pair.variant)
        return self.difference(base, variant, queries)

    def difference(
        self, base: Result | None, variant: Result | None, queries: Queries
    ) -> AccuracyDifference | None:
        """Return variant minus base; None if a result is missing or has no such query.

        Results by different scores are not comparable; the difference is then None, too.
        """
        if base is None or variant is None or base.score != variant.score:
            return None
        if not base.tally(queries).total or not variant.tally(queries).total:
            return None
        return self._once(
            (base, variant, queries), partial(_compare, base, variant, queries, self.design_effect)
        )

    def adjusted_p(self, pair_id: str) -> float:
        """Return the pair's p-value at numops >= 1, adjusted by Holm over its experiment.

        The family is the paper's pairs of the experiment that have results.
        """
        experiment = registry().pair(pair_id).experiment
        if experiment not in self._families:
            family = {
                pair.id: difference.p
                for pair in registry().pairs.values()
                if pair.paper
                and pair.experiment == experiment
                and (difference := self.pair_difference(pair.id))
            }
            adjusted = holm(list(family.values()))
            self._families[experiment] = dict(zip(family, adjusted, strict=True))
        return self._families[experiment][pair_id]

    def against_random(self, result: Result | None, queries: Queries) -> AccuracyDifference | None:
        """Return accuracy minus the random baseline's; None if one of them is not known."""
        if result is None or result.chance_on(queries) is None:
            return None
        rates = {numops: rate for numops, rate in result.chance.items() if numops in queries}
        return self._once((result, queries), partial(_against, result, rates, self.design_effect))

    def against_rate(
        self, result: Result | None, queries: Queries, rate: float
    ) -> AccuracyDifference | None:
        """Return accuracy minus a rate in 0..1; None if there is no such query."""
        if result is None or not result.by_numops or not result.tally(queries).total:
            return None
        rates = {numops: rate for numops in result.by_numops if numops in queries}
        test = partial(_against, result, rates, self.design_effect)
        return self._once((result, queries, rate), test)

    def contrast(self, minus: Sequence[Term], plus: Sequence[Term]) -> AccuracyDifference | None:
        """Return one signed sum of shares of correct answers minus another.

        A share is relative to all queries of any of the terms. None if a term has no queries.
        """
        terms = [*((-sign, result, queries) for sign, result, queries in minus), *plus]
        if not all(result.tally(queries).total for _, result, queries in terms):
            return None
        ranges = {queries for _, _, queries in terms}
        sums = [
            sum(sign * _share(result, queries, ranges) for sign, result, queries in side)
            for side in (minus, plus)
        ]
        test = partial(_combine, sums[0], sums[1], terms, ranges, self.design_effect)
        return self._once(tuple(terms), test)

    def _once(self, key: Hashable, test: Callable[[], AccuracyDifference]) -> AccuracyDifference:
        if key not in self._tests:
            self._tests[key] = test()
        return self._tests[key]


def _outcomes(results: Sequence[Result]) -> list[tuple[Outcome, ...]] | None:
    """Return the outcomes of all results, or None if some are not known or the data differ."""
    outcomes = [result.outcomes for result in results if result.outcomes is not None]
    same_data = len({result.data for result in results}) == 1
    return outcomes if same_data and len(outcomes) == len(results) else None


def _compare(
    base: Result, variant: Result, queries: Queries, design_effect: float
) -> AccuracyDifference:
    before, after = 100 * base.tally(queries).accuracy, 100 * variant.tally(queries).accuracy
    if outcomes := _outcomes([base, variant]):
        test = paired_test(outcomes[0], outcomes[1], fresh_rng(), queries.__contains__)
        return AccuracyDifference(before, after, test.differs(), "paired")
    counted = unpaired_test(base.tally(queries), variant.tally(queries), design_effect)
    decision = counted.differs(doubt=doubt_of_counts([base, variant]))
    return AccuracyDifference(before, after, decision, "counts")


def _against(
    result: Result, rates: Mapping[int, float], design_effect: float
) -> AccuracyDifference:
    cells = [(tally, rates[n]) for n, tally in result.by_numops.items() if n in rates]
    total = sum(tally.total for tally, _ in cells)
    expected = sum(tally.total * rate for tally, rate in cells) / total
    accuracy = sum(tally.correct for tally, _ in cells) / total
    if result.outcomes is None:
        test = contrast.counted_against(cells, design_effect)
    else:
        test = contrast.clustered_against(result.outcomes, rates)
    kind: Literal["clustered", "counts"] = "counts" if result.outcomes is None else "clustered"
    return AccuracyDifference(100 * expected, 100 * accuracy, test.differs(), kind)


def _share(result: Result, queries: Queries, ranges: set[Queries]) -> float:
    return result.tally(queries).correct / _total(result, ranges)


def _total(result: Result, ranges: set[Queries]) -> int:
    return sum(result.tally(queries).total for queries in ranges)


def _combine(
    before: float,
    after: float,
    terms: Sequence[Term],
    ranges: set[Queries],
    design_effect: float,
) -> AccuracyDifference:
    outcomes = _outcomes([result for _, result, _ in terms])
    if outcomes:
        decision = _signed(terms, outcomes).differs()
        return AccuracyDifference(100 * before, 100 * after, decision, "paired")
    doubt = doubt_of_counts([result for _, result, _ in terms])
    decision = _counted(terms, ranges, design_effect).differs(doubt)
    return AccuracyDifference(100 * before, 100 * after, decision, "counts")


def doubt_of_counts(results: Sequence[Result]) -> str:
    """Return why counts of these results cannot be significant; empty if they can.

    Where outcomes are known, their sequences are too, and few sequences make any count unreliable.
    """
    clusters = [
        len({outcome.sample_id for outcome in result.outcomes})
        for result in results
        if result.outcomes is not None
    ]
    if not clusters or min(clusters) >= MIN_CLUSTERS_TO_BE_SURE:
        return ""
    return too_few(min(clusters), MIN_CLUSTERS_TO_BE_SURE)


def _signed(terms: Sequence[Term], outcomes: Sequence[Sequence[Outcome]]) -> Contrast:
    parts = [
        (states, dict.fromkeys(queries, sign))
        for (sign, _, queries), states in zip(terms, outcomes, strict=True)
    ]
    return contrast.signed_test(parts, fresh_rng())


def _counted(terms: Sequence[Term], ranges: set[Queries], design_effect: float) -> Contrast:
    """Test by counts: a tally's coefficient is its sign times its share of the queries."""
    parts = []
    for sign, result, queries in terms:
        tally = result.tally(queries)
        parts.append((sign * tally.total / _total(result, ranges), tally))
    return contrast.counted_contrast(parts, design_effect)
