"""Find a slow drift in a series of results, with a stated rate of false alarms.

Each value is replaced by its rank among all values up to it, ties by their mid-rank, as a normal
score.
If nothing but chance separates the values, in any distribution, these scores are independent and
standard normal (Parent, "Sur les rangs successifs", 1965; conformal p-values: Vovk, Gammerman and
Shafer, Algorithmic Learning in a Random World, 2005). So one threshold holds for every series. With
ties the scores vary less, and false alarms are rarer. Two cumulative sums follow the scores, one
for each direction (Page, Biometrika 41, 1954)::

    down = max(0, down - score - REFERENCE)        alarm if down > threshold

The threshold makes the mean number of results before a false alarm as large as asked, by Siegmund's
approximation (Sequential Analysis, 1985). Needs the standard library alone.
"""

import random
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from math import exp
from statistics import NormalDist

REFERENCE = 0.25
"""Half of the shift, in standard deviations, that is found soonest."""

WARM_UP = 10
"""Values before the sums begin: ranks among fewer are almost only chance."""

HOLD = 30
"""Values for which a drift lasts; then its level is the usual one."""

FALSE_ALARM_RESULTS = 5 * 365
"""Mean number of results before a false alarm of a history: five years of nightly runs."""

_SHIFT = 1.166
"""Siegmund's correction for the excess over the threshold, 2 * 0.583."""


@dataclass(frozen=True, slots=True)
class Drift:
    """The two sums after each value, and the alarms.

    Attributes:
        down: sums that grow while values are low.
        up: sums that grow while values are high.
        threshold: a sum above it is an alarm, at the last value.
        alarms: ``down``, ``up`` or an empty text for each value: a drift lasts for :data:`HOLD`
            values. The values after an alarm are compared with each other only, so that a level
            that stays is found once.
    """

    down: Sequence[float]
    up: Sequence[float]
    threshold: float
    alarms: Sequence[str]


def find_drift(values: Sequence[float], seed: str, series: Sequence[int] = ()) -> Drift:
    """Follow a series of values.

    Args:
        values: in order of time.
        seed: seeds the place of a value within its rank; the same text for the same series.
        series: number of series that are followed at each value; together they have the stated
            rate. Empty means 1. An alarm stays although more series are followed later.
    """
    counts = series or [1] * len(values)
    limits = [threshold(2 * count * FALSE_ALARM_RESULTS) for count in counts]
    downs, ups, alarms = list[float](), list[float](), [""] * len(values)
    start = 0
    while start < len(values):
        for down, up in _sums(values[start:], f"{seed} {start}"):
            downs.append(down)
            ups.append(up)
            if max(down, up) > limits[len(downs) - 1]:
                break
        else:
            break
        start = len(downs)
        last = min(start - 1 + HOLD, len(values))
        direction = "down" if down > up else "up"
        alarms[start - 1 : last] = [direction] * (last - start + 1)
    return Drift(downs, ups, limits[-1] if limits else 0.0, alarms)


def _sums(values: Sequence[float], seed: str) -> Iterator[tuple[float, float]]:
    """Yield the two sums after each value."""
    down = up = 0.0
    for number, score in enumerate(rank_scores(values, seed)):
        if number >= WARM_UP:
            down, up = max(0.0, down - score - REFERENCE), max(0.0, up + score - REFERENCE)
        yield down, up


def rank_scores(values: Iterable[float], seed: str) -> Iterator[float]:
    """Yield the normal score of each value's rank among all values up to it."""
    generator = random.Random(seed)  # noqa: S311  # not for secrets
    normal, before = NormalDist(), list[float]()
    for value in values:
        lower = bisect_left(before, value)
        ties = bisect_right(before, value) - lower + 1
        insort(before, value)
        # Random places among ties would let a constant series drift by chance.
        place = generator.uniform(1e-9, 1 - 1e-9) if ties == 1 else 0.5
        yield normal.inv_cdf((lower + place * ties) / len(before))


@cache
def threshold(results: float) -> float:
    """Return the threshold of one sum with this mean number of results before a false alarm."""
    low, high = 0.0, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if run_length(middle) > results else (middle, high)
    return (low + high) / 2


def run_length(limit: float) -> float:
    """Return the mean number of standard normal scores until one sum exceeds the limit."""
    scaled = 2 * REFERENCE * (limit + _SHIFT)
    return (exp(scaled) - scaled - 1) / (2 * REFERENCE**2)
