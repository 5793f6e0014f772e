"""Print the simulated levels, coverages and powers of ``docs/statistics.md``, by clusters.

    python docs/levels.py [--samples N] [--seed N] [--from METHOD | --drifts]

Sequences have 5, 10 or 15 queries whose outcomes are correlated, as the states of one sequence are.
The default of 2,000 samples per value takes about twelve minutes of one core. A value near 5 % or
95 % then has a Monte-Carlo standard error of 0.5 points. ``--drifts`` prints the figures of
``docs/history.md`` instead, in a minute.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.records import Outcome
from benchmark.stats.constants import (
    FEW_CLUSTERS,
    LEVEL,
    MIN_CLUSTERS_FOR_INTERVAL,
    MIN_CLUSTERS_TO_BE_SURE,
    MIN_CLUSTERS_TO_REJECT,
    RECORD_LEVEL,
)
from benchmark.stats.contrast import clustered_against
from benchmark.stats.differences import ClusteredDifference, Integers, clustered_difference
from benchmark.stats.intervals import clustered_interval
from benchmark.stats.joint import max_t
from benchmark.stats.paired import sign_flip_test
from benchmark.stats.pooled import pooled_differences
from benchmark.stats.published import UnpairedTest, departure_from, holm
from benchmark.stats.sequential import find_drift

CLUSTERS = (3, 5, 8, 12, 20, 30, 40)
"""Numbers of clusters in the table."""

SIZES = (5, 10, 5, 5, 10, 15)
"""Queries of a sequence, in turn."""

SIGNS = 999
"""Random sign vectors per test; the level of the test does not depend on their number."""

DRIFTS = (0.01, 0.02, 0.05, 0.1)
"""Drifts per night, in standard deviations."""

_USUAL, _NIGHTS = 60, 360
"""Nights before a drift, and all nights."""

Rates = NDArray[np.float64]
Trial = Callable[[np.random.Generator, int], bool | None]
"""One simulated sample of a number of clusters: rejected or covered; None if not shown."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """An accuracy whose rate varies between sequences.

    ``concentration`` is that of a beta distribution; the smaller, the more queries of a sequence
    agree. 0 means a mixture in which most wrong answers are whole wrong sequences.
    """

    mean: float
    concentration: float

    def rates(self, rng: np.random.Generator, clusters: int) -> Rates:
        """Draw the rate of each sequence."""
        if self.concentration:
            wrong = 1 - self.mean
            return rng.beta(self.concentration * self.mean, self.concentration * wrong, clusters)
        all_wrong = 0.8 * (1 - self.mean)
        return np.where(rng.random(clusters) < all_wrong, 0.0, self.mean / (1 - all_wrong))


@dataclass(frozen=True, slots=True)
class Row:
    """A method in a scenario: its trial, and the number of clusters from which it is used.

    A ``share`` is shown without a value that it should have.
    """

    method: str
    scenario: str
    kind: Literal["level", "coverage", "power", "share"]
    trial: Trial
    used_from: int
    nominal: float = LEVEL


@dataclass(frozen=True, slots=True)
class Share:
    """How often a method rejected or covered, with its Monte-Carlo standard error.

    ``samples`` are those in which the method showed a result.
    """

    value: float
    samples: int

    @property
    def error(self) -> float:
        """Return the standard error of the share."""
        return float(np.sqrt(self.value * (1 - self.value) / self.samples))


def simulate(row: Row, clusters: int, samples: int, seed: int) -> Share | None:
    """Simulate a row of the table for one number of clusters.

    Returns:
        The share; None if no sample shows a result.
    """
    rng = np.random.default_rng([seed, clusters])
    results = [row.trial(rng, clusters) for _ in range(samples)]
    shown = [result for result in results if result is not None]
    return Share(sum(shown) / len(shown), len(shown)) if shown else None


def rows() -> Iterator[Row]:
    """Yield the rows of the table."""
    yield from _levels_and_coverages()
    for name, changes in _CHANGES.items():
        trial = partial(_power, changes)
        yield Row("could have seen", name, "power", trial, MIN_CLUSTERS_FOR_INTERVAL)
    yield from _with_margin()
    yield from _together()


def _with_margin() -> Iterator[Row]:
    for name, (changes, effect) in _EDGES.items():
        trial = partial(_equal, changes, effect)
        yield Row("equal within 15", name, "level", trial, MIN_CLUSTERS_TO_BE_SURE)
    for name, (changes, effect) in _EDGES.items():
        trial = partial(_not_worse, changes, effect)
        yield Row("no loss of 15", name, "level", trial, MIN_CLUSTERS_TO_BE_SURE)
    for name in ("10 %", "whole, 30 %", "unrelated"):
        trial = partial(_equal, _CHANGES[name], 0.0)
        yield Row("equal, if so", name, "share", trial, MIN_CLUSTERS_TO_BE_SURE)


def _together() -> Iterator[Row]:
    yield Row("3 models, one p", "none changed", "level", _no_model, MIN_CLUSTERS_TO_BE_SURE)
    yield Row("  others named", "one changed", "level", _other_models, MIN_CLUSTERS_TO_BE_SURE)
    yield Row("  one p", "one: 10", "share", partial(_any, (0.1, 0, 0)), MIN_CLUSTERS_TO_BE_SURE)
    yield Row("", "all: 4", "share", partial(_any, (0.04,) * 3), MIN_CLUSTERS_TO_BE_SURE)
    yield Row("  Holm", "all: 4", "share", partial(_holm, (0.04,) * 3), MIN_CLUSTERS_TO_BE_SURE)
    for spread in (0.0, 0.05, 0.15):
        trial = partial(_pooled, spread)
        name = f"spread {100 * spread:g}"
        yield Row("5 pairs pooled", name, "level", trial, MIN_CLUSTERS_TO_BE_SURE)


def _levels_and_coverages() -> Iterator[Row]:
    trial: Trial
    for name, accuracy in _ACCURACIES.items():
        yield Row("accuracy interval", name, "coverage", partial(_accuracy, accuracy), 1)
    for name, paired in _PAIRS.items():
        trial = partial(_difference, paired)
        yield Row("gain interval", name, "coverage", trial, MIN_CLUSTERS_FOR_INTERVAL)
    for name, paired in _PAIRS.items():
        trial = partial(_bootstrap, paired)
        yield Row("(bootstrap)", name, "coverage", trial, _NEVER)
    for name, accuracy in _ACCURACIES.items():
        trial = partial(_sign_flip, accuracy)
        yield Row("gain, sign flips", name, "level", trial, MIN_CLUSTERS_TO_REJECT)
    yield Row("two gains", "20+10, 50+10", "level", _gains, MIN_CLUSTERS_TO_BE_SURE)
    for name, accuracy in _ACCURACIES.items():
        trial = partial(_against, accuracy)
        yield Row("against a rate", name, "level", trial, MIN_CLUSTERS_TO_BE_SURE)
    for name, paired in _PAIRS.items():
        yield Row(
            "as published",
            name,
            "level",
            partial(_published, paired),
            MIN_CLUSTERS_TO_BE_SURE,
            RECORD_LEVEL,
        )


_NEVER = 1_000_000

_ACCURACIES = {
    "40 %": Accuracy(0.4, 3),
    "14 %": Accuracy(0.14, 10),
    "5 %": Accuracy(0.05, 3),
    "95 %, alike": Accuracy(0.95, 1),
    "85 %, whole": Accuracy(0.85, 0),
}


@dataclass(frozen=True, slots=True)
class SimulatedPair:
    """A base and a variant that is better by ``gain``, before clipping at 100 %.

    Without a base, whole sequences change: a share of ``gain`` is gained.
    """

    base: Accuracy | None
    gain: float

    def draw(self, rng: np.random.Generator, clusters: int) -> tuple[Integers, Integers]:
        """Draw gained minus lost queries, and sizes, of each sequence."""
        sizes = np.resize(np.array(SIZES), clusters)
        if self.base is None:
            return sizes * (rng.random(clusters) < self.gain), sizes
        rates = self.base.rates(rng, clusters)
        better = np.clip(rates + self.gain, 0, 1)
        return rng.binomial(sizes, better) - rng.binomial(sizes, rates), sizes


_PAIRS = {
    "40 %, +0": SimulatedPair(Accuracy(0.4, 3), 0.0),
    "40 %, +10": SimulatedPair(Accuracy(0.4, 3), 0.1),
    "5 %, +5": SimulatedPair(Accuracy(0.05, 3), 0.05),
    "90 %, +5": SimulatedPair(Accuracy(0.9, 2), 0.05),
    "10 %, +70": SimulatedPair(Accuracy(0.1, 5), 0.7),
    "whole, +20": SimulatedPair(None, 0.2),
}


@cache
def _true_gain(paired: SimulatedPair) -> float:
    """Return the expected gain, by simulation of two million rates where they are clipped."""
    if paired.base is None or not paired.gain:
        return paired.gain
    rates = paired.base.rates(np.random.default_rng(0), 2_000_000)
    return float(np.mean(np.clip(rates + paired.gain, 0, 1) - rates))


def _queries(accuracy: Accuracy, rng: np.random.Generator, clusters: int) -> list[tuple[int, bool]]:
    sizes = np.resize(np.array(SIZES), clusters)
    correct = rng.binomial(sizes, accuracy.rates(rng, clusters))
    return [(c, i < k) for c, k in enumerate(correct.tolist()) for i in range(int(sizes[c]))]


def _accuracy(accuracy: Accuracy, rng: np.random.Generator, clusters: int) -> bool:
    low, high = clustered_interval(_queries(accuracy, rng, clusters))
    return low <= accuracy.mean <= high


def _difference(paired: SimulatedPair, rng: np.random.Generator, clusters: int) -> bool | None:
    drawn = clustered_difference(*paired.draw(rng, clusters))
    interval = drawn.unchecked_interval
    return None if interval is None else interval.low <= _true_gain(paired) <= interval.high


def _bootstrap(paired: SimulatedPair, rng: np.random.Generator, clusters: int) -> bool | None:
    """Percentile bootstrap: the method that was replaced, for comparison."""
    differences, sizes = paired.draw(rng, clusters)
    drawn = rng.integers(0, clusters, size=(SIGNS, clusters))
    ratios = differences[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return None if low == high else bool(low <= _true_gain(paired) <= high)


def _sign_flip(accuracy: Accuracy, rng: np.random.Generator, clusters: int) -> bool:
    differences, _ = SimulatedPair(accuracy, 0.0).draw(rng, clusters)
    return sign_flip_test(differences, rng, SIGNS)[0] < LEVEL


def _gains(rng: np.random.Generator, clusters: int) -> bool:
    """Two pairs whose gains are equal, but not their accuracies."""
    first, second = (
        SimulatedPair(Accuracy(mean, 20), 0.1).draw(rng, clusters)[0] for mean in (0.2, 0.5)
    )
    return sign_flip_test(first - second, rng, SIGNS)[1] < LEVEL


def _against(accuracy: Accuracy, rng: np.random.Generator, clusters: int) -> bool:
    answers: dict[int, list[bool]] = {}
    for cluster, right in _queries(accuracy, rng, clusters):
        answers.setdefault(cluster, []).append(right)
    outcomes = [Outcome(c, (1,) * len(own), tuple(own)) for c, own in answers.items()]
    return clustered_against(outcomes, {1: accuracy.mean}).two_sided < LEVEL


def _published(paired: SimulatedPair, rng: np.random.Generator, clusters: int) -> bool | None:
    """Test against a published difference on other data, with an error of 1.5 points."""
    error = 0.015
    published = UnpairedTest(rng.normal(_true_gain(paired), error), error)
    own = clustered_difference(*paired.draw(rng, clusters))
    if own.error is None or own.deviating < FEW_CLUSTERS:
        return None
    return departure_from(own, published).p < RECORD_LEVEL


@dataclass(frozen=True, slots=True)
class Changes:
    """Outcomes of which a share changes without a direction, and an effect on top of that.

    ``unit`` is what changes together. ``unrelated`` answers of two models change where their rates
    make them; the variant's rates are then higher by the effect.
    """

    share: float
    unit: Literal["query", "sequence", "unrelated"] = "query"

    def draw(
        self, rng: np.random.Generator, clusters: int, effect: float
    ) -> tuple[Integers, Integers]:
        """Draw gained and lost queries of each sequence."""
        sizes = np.resize(np.array(SIZES), clusters)
        if self.unit == "unrelated":
            rates = Accuracy(self.share, 3).rates(rng, clusters)
            wrong = sizes - (right := rng.binomial(sizes, rates))
            better = np.clip(rates + effect, 0, 1)
            return rng.binomial(wrong, better), rng.binomial(right, 1 - better)
        if self.unit == "sequence":
            draws = rng.random((3, clusters)) < [[self.share / 2], [self.share / 2], [effect]]
            return sizes * (draws[0].astype(int) + draws[2]), sizes * draws[1]
        gained, lost = (rng.binomial(sizes, self.share / 2) for _ in range(2))
        return gained + rng.binomial(sizes, effect), lost


_CHANGES = {
    "nothing": Changes(0.0),
    "1 %": Changes(0.01),
    "10 %": Changes(0.1),
    "whole, 30 %": Changes(0.3, "sequence"),
    "unrelated": Changes(0.4, "unrelated"),
}


def _power(changes: Changes, rng: np.random.Generator, clusters: int) -> bool | None:
    """Whether the effect that one sample could have seen is found in another."""
    sizes = np.resize(np.array(SIZES), clusters)
    gained, lost = changes.draw(rng, clusters, 0.0)
    seen = clustered_difference(gained - lost, sizes, changed=int((gained + lost).sum()))
    smallest = seen.detectable(LEVEL / 2)
    if smallest is None:
        return None
    gained, lost = changes.draw(rng, clusters, smallest)
    return sign_flip_test(gained - lost, rng, SIGNS)[1] < LEVEL


_MARGIN = 0.15

_EDGES = {
    "queries": (Changes(0.0), _MARGIN),
    "10 %": (Changes(0.1), _MARGIN),
    "whole": (Changes(0.0, "sequence"), _MARGIN),
    "whole, 10 %": (Changes(0.1, "sequence"), _MARGIN),
    "unrelated": (Changes(0.4, "unrelated"), _MARGIN),
}
"""True differences that are as large as the margin, made of single queries or whole sequences."""


def _measured(
    changes: Changes, effect: float, rng: np.random.Generator, clusters: int
) -> ClusteredDifference:
    sizes = np.resize(np.array(SIZES), clusters)
    gained, lost = changes.draw(rng, clusters, effect)
    return clustered_difference(gained - lost, sizes, changed=int((gained + lost).sum()))


def _equal(changes: Changes, effect: float, rng: np.random.Generator, clusters: int) -> bool | None:
    """Whether equality is claimed; None where it is never decided."""
    decision = _measured(changes, effect, rng, clusters).equivalence(_MARGIN, LEVEL)
    return None if decision.doubt else decision.verdict == "supported"


def _not_worse(
    changes: Changes, effect: float, rng: np.random.Generator, clusters: int
) -> bool | None:
    """Whether the first of two models, which is worse by the margin, is called not worse."""
    sizes = np.resize(np.array(SIZES), clusters)
    gained, lost = changes.draw(rng, clusters, effect)
    measured = clustered_difference(lost - gained, sizes, changed=int((gained + lost).sum()))
    decision = measured.non_inferiority(_MARGIN, LEVEL)
    return None if decision.doubt else decision.verdict == "supported"


_FEW_SIGNS = 199
"""Random sign vectors of a test over several models."""


def _three(effects: Sequence[float], rng: np.random.Generator, clusters: int) -> Integers:
    """Draw gained minus lost queries of three models; their changes fall on the same sequences."""
    sizes = np.resize(np.array(SIZES), clusters)
    unstable = rng.beta(0.5, 4.5, clusters)  # how much of a sequence changes, in every model
    signs = np.where(rng.random(clusters) < 0.5, -1, 1)  # noqa: PLR2004  # a fair coin
    noise = [signs * rng.binomial(sizes, unstable) for _ in effects]
    return np.array(
        [noise_of + rng.binomial(sizes, e) for noise_of, e in zip(noise, effects, strict=True)]
    )


def _adjusted(effects: Sequence[float], rng: np.random.Generator, clusters: int) -> list[float]:
    rows = _three(effects, rng, clusters).astype(float)
    return max_t(np.vstack([rows, rows.mean(axis=0)]), rng, _FEW_SIGNS)


def _any(effects: Sequence[float], rng: np.random.Generator, clusters: int) -> bool:
    return min(_adjusted(effects, rng, clusters)) < LEVEL


def _no_model(rng: np.random.Generator, clusters: int) -> bool:
    return _any((0.0,) * 3, rng, clusters)


def _other_models(rng: np.random.Generator, clusters: int) -> bool:
    """Whether a model without a change is called changed, where another one changed."""
    return min(_adjusted((0.3, 0.0, 0.0), rng, clusters)[1:3]) < LEVEL


def _holm(effects: Sequence[float], rng: np.random.Generator, clusters: int) -> bool:
    """Holm's method over the models, for comparison."""
    rows = _three(effects, rng, clusters)
    return min(holm([sign_flip_test(row, rng, _FEW_SIGNS)[1] for row in rows])) < LEVEL


def _pooled(spread: float, rng: np.random.Generator, clusters: int) -> bool:
    """Five pairs, two of them with the same base, whose effects vary around zero."""
    sizes = np.resize(np.array(SIZES), clusters)
    rates = Accuracy(0.5, 6).rates(rng, clusters)
    bases = rng.binomial(sizes, rates, size=(4, clusters))
    gains = rng.normal(0, spread, 5)
    variants = rng.binomial(sizes, np.clip(rates + gains[:, None], 0, 1))
    pooled = pooled_differences(
        (variants - bases[[0, 0, 1, 2, 3]]).astype(float), sizes.astype(float)
    )
    return pooled.differs().verdict == "supported"


def table(
    table_rows: Sequence[Row], clusters: Sequence[int], samples: int, seed: int
) -> Iterator[str]:
    """Yield the lines of the table, at most 80 columns wide.

    Values are in per cent. Those in parentheses are of numbers of clusters at which the method is
    not used.
    """
    yield _line("", "clusters", [str(count) for count in clusters])
    previous = ""
    for row in table_rows:
        cells = []
        for count in clusters:
            share = simulate(row, count, samples, seed)
            value = f"{100 * share.value:.1f}" if share else "-"
            cells.append(value if count >= row.used_from else f"({value})")
        yield _line(row.method if row.method != previous else "", row.scenario, cells)
        previous = row.method


def _line(method: str, scenario: str, cells: Sequence[str]) -> str:
    # A closing parenthesis goes to the right of the digits.
    aligned = (f"{cell:>7}" if cell.endswith(")") else f"{cell:>6} " for cell in cells)
    return f"{method:<18}{scenario:<13}{''.join(aligned)}".rstrip()


def drift_lines(samples: int, seed: int) -> Iterator[str]:
    """Yield the mean number of runs before a false alarm, and the delays of drifts and a step."""
    rng = np.random.default_rng(seed)
    lengths = [_false_alarm(rng) for _ in range(samples)]
    error = np.std(lengths) / samples**0.5
    yield f"runs until a false alarm: {np.mean(lengths):.0f} (standard error {error:.0f})"
    nights: Rates = np.arange(_NIGHTS, dtype=np.float64) - _USUAL + 1
    shifts = {f"drift of {rate:g} a night": rate * np.maximum(nights, 0.0) for rate in DRIFTS}
    shifts["step of 1"] = np.where(nights > 0, 1.0, 0.0)
    for name, shift in shifts.items():
        delays = [_delay(shift, rng) for _ in range(samples)]
        half, most = np.quantile(delays, (0.5, 0.9), method="higher")
        yield f"{name}: half within {half:.0f}, nine in ten within {most:.0f}"


def _false_alarm(rng: np.random.Generator) -> int:
    """Return the number of exchangeable values until the first alarm."""
    values = list[float]()
    while True:
        values += rng.normal(size=max(1000, len(values))).tolist()
        alarms = find_drift(values, "simulated").alarms
        if any(alarms):
            return next(number for number, alarm in enumerate(alarms, start=1) if alarm)


def _delay(shift: Rates, rng: np.random.Generator) -> float:
    """Return the nights from the first shifted one to the alarm; infinity if it never comes."""
    values = (rng.normal(size=len(shift)) - shift).tolist()
    alarms = find_drift(values, "simulated").alarms[_USUAL:]
    return next((float(n) for n, alarm in enumerate(alarms, start=1) if alarm == "down"), np.inf)


def main() -> None:
    """Print the table, line by line as it is computed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--from", dest="first", default="", help="method of the first row")
    parser.add_argument("--drifts", action="store_true", help="the figures of docs/history.md")
    arguments = parser.parse_args()
    if arguments.drifts:
        print(*drift_lines(arguments.samples, arguments.seed), sep="\n")
        return
    shown = list(rows())
    start = next(n for n, row in enumerate(shown) if row.method.startswith(arguments.first))
    for line in table(shown[start:], CLUSTERS, arguments.samples, arguments.seed):
        print(line, flush=True)


if __name__ == "__main__":
    main()
