"""Decide from paired scores whether a system got worse than a margin; standard library alone.

This file imports nothing outside the standard library, so that it can be copied into another
project. A task is a sequence of :class:`Pair`, the scores of one sample before and after a change::

    decisions = decide({"gsm8k": [Pair(1.0, 1.0), Pair(1.0, 0.0), ...]}, margin=0.02)
    print(decisions.verdict, decisions.joint_p)

The rule is non-inferiority. With ``change`` the mean of new minus old:

``passes``
    every task's one-sided lower bound of the change is above ``-margin``. Each bound has the full
    level: all have to pass, so together they pass wrongly at most at that level (intersection-union
    test; Berger, Technometrics 24, 1982).
``worse``
    some task's one-sided upper bound is below ``-margin``. The bounds have the levels of Holm's
    step-down method (Scandinavian Journal of Statistics 6, 1979) over the tasks.
``undecided``
    neither: there are too few samples for this margin.

A sample without a new score counts as lost for ``passes``, as the worst score seen, 0 at best: what
is missing is rarely a random part, since long or difficult samples fail first. It counts neither
for ``worse`` nor in an interval.

:mod:`benchmark.gate` turns the result of each task into the decisions of
:mod:`benchmark.stats.decision`, as the rest of this project has them. That module imports others,
and this file can be copied because it does not.

P-values are two-sided, of "nothing changed": then swapping old and new of a cluster has no effect,
so that the sign of each cluster's sum is a fair coin. They are exact where the sums have a common
denominator, as those of binary scores have, and otherwise use 9,999 random sign vectors.

Bounds of scores of 0 and 1 combine the limits of Clopper and Pearson for the share of lost and of
gained samples by the method of Zou and Donner (Statistics in Medicine 27, 2008), at the effective
number of samples under clustering (Korn and Graubard, Survey Methodology 24, 1998). Bounds of other
scores are Student's t with a cluster-robust standard error. Rare large changes make the mean skewed
and may be missing in the sample, so one change of the largest possible size is added to the
variance, and the bounds move outward by it and by Johnson's correction for the largest possible
skewness, (t**2 - 1) / 3 of it (Journal of the American Statistical Association 73, 1978).
"""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from math import copysign, exp, inf, isfinite, lgamma, log, log1p, sqrt
from typing import Literal, NamedTuple

Verdict = Literal["passes", "worse", "undecided"]

LEVEL = 0.05
"""Level of every test and one-sided bound."""

POWER = 0.8
"""Power at which the smallest detectable change is stated."""

FEWEST_CLUSTERS = 20
"""Fewest clusters for a decision and a detectable change; with fewer a task is undecided.

Clusters of unequal sizes count as fewer, see :attr:`Clusters.effective`.
"""

RESAMPLES = 9999
"""Random sign vectors of a test that is not exact, and of the joint test."""

SEED = 20240531
"""Seed of random signs: the same scores have the same p-values."""

LARGEST = 1e100
"""Largest score; squares of larger ones may be beyond the largest number."""

_SMALLEST_P = 1e-9
"""Smallest one-sided p-value of the margin; bounds of a lower level are not computed."""

_LARGEST_P = 0.499
"""Largest one-sided p-value of the margin other than 1."""

_HALVINGS = 16
"""Halvings of the p-value's logarithm: to three digits."""

_LARGEST_DENOMINATOR = 60
"""Sums that are multiples of 1/60 or coarser are tested exactly."""

_MOST_STEPS = 2_000_000
"""Largest number of additions of an exact test; beyond it, signs are random."""

_NEGLIGIBLE = 1e-20
"""Probabilities that an exact distribution leaves out."""

SMALLEST_P = 1e-15
"""Smallest p-value of an exact test: what the distribution leaves out sums to less."""

_ROUNDING = 1e-9
"""By how much equal sums may differ when they are added in another order."""

_BINARY = ({0.0, 1.0}, {-1.0, 0.0})
"""Scores of right and wrong, and those of which lower is better times -1."""


class Pair(NamedTuple):
    """The scores of one sample before and after; samples of one cluster are not independent.

    Without a cluster, a sample is its own.
    """

    old: float
    new: float
    cluster: Hashable = None


@dataclass(frozen=True, slots=True)
class Clusters:
    """A task's samples by cluster: the sums of new minus old, and the numbers of samples.

    Attributes:
        sums: shape (clusters,).
        sizes: shape (clusters,).
        gained: samples with a higher new score.
        lost: samples with a lower new score.
        binary: whether all scores are 0 or 1, or all 0 or -1.
        worst: the lowest score seen, at most 0.
        best: the highest score seen, at least 0.
    """

    sums: tuple[float, ...]
    sizes: tuple[int, ...]
    gained: int
    lost: int
    binary: bool
    worst: float = 0.0
    best: float = 1.0

    @property
    def samples(self) -> int:
        """The number of samples."""
        return sum(self.sizes)

    @property
    def change(self) -> float:
        """The mean of new minus old."""
        return sum(self.sums) / self.samples

    @property
    def spread(self) -> float:
        """The cluster-robust standard error of the change; 0 with a single cluster."""
        count, change = len(self.sums), self.change
        if count == 1:
            return 0.0
        squares = sum((s - n * change) ** 2 for s, n in zip(self.sums, self.sizes, strict=True))
        return sqrt(squares * count / (count - 1)) / self.samples

    @property
    def unit(self) -> float:
        """By how much clusters change that do (root mean square); :attr:`reach` if none does.

        At least 1 for binary scores, of which the least change is one sample.
        """
        changed = [s for s in self.sums if s]
        size = sqrt(sum(s * s for s in changed) / len(changed)) if changed else self.reach
        return max(size, 1.0) if self.binary else size

    @property
    def reach(self) -> float:
        """The largest change of a sample: the range of the scores seen and 0, at least 1."""
        return max(1.0, self.best - self.worst)

    @property
    def effective(self) -> float:
        """The number of clusters of equal size with the same sum of squared sizes.

        It is the number of clusters if all are of one size, and near 1 if one has most samples.
        """
        return self.samples**2 / sum(size * size for size in self.sizes)


class Missing(NamedTuple):
    """Samples without a new score: how many, and the sum of what they can have lost."""

    number: int
    lost: float


NONE_MISSING = Missing(0, 0.0)
"""Every sample has a new score."""


@dataclass(frozen=True, slots=True)
class TaskDecision:
    """What one task shows.

    Attributes:
        old: mean score before.
        new: mean score after.
        clusters: the samples by cluster.
        p: two-sided p-value of "nothing changed".
        adjusted_p: the same by Holm's method over the tasks.
        margin_p: one-sided p-value of "it dropped by the margin or more"; below the level if and
            only if the lower bound excludes that, which with too few clusters decides nothing.
        low: one-sided lower bound of the change, at the full level.
        high: one-sided upper bound, at the full level.
        detectable: smallest change that the test finds with a power of 80 %; None with fewer than
            20 clusters, or if no change would be found.
        verdict: the rule's outcome.
        reason: the outcome in words.
    """

    old: float
    new: float
    clusters: Clusters = field(repr=False)
    p: float
    adjusted_p: float
    margin_p: float
    low: float
    high: float
    detectable: float | None
    verdict: Verdict
    reason: str

    @property
    def change(self) -> float:
        """The mean of new minus old."""
        return self.clusters.change


@dataclass(frozen=True)
class Decisions:
    """The decision on all tasks.

    Attributes:
        tasks: the tasks, by name.
        margin: largest drop that passes, in the unit of the scores.
        joint_p: p-value of "nothing changed in any task".
    """

    tasks: Mapping[str, TaskDecision]
    margin: float
    joint_p: float

    @cached_property
    def verdict(self) -> Verdict:
        """``worse`` if one task is, ``passes`` if all tasks do, else ``undecided``."""
        verdicts = {task.verdict for task in self.tasks.values()}
        if "worse" in verdicts:
            return "worse"
        return "undecided" if "undecided" in verdicts else "passes"


def decide(
    tasks: Mapping[str, Sequence[Pair]],
    margin: float,
    level: float = LEVEL,
    *,
    missing: Mapping[str, Sequence[float]] | None = None,
    worst: Mapping[str, float] | None = None,
) -> Decisions:
    """Decide whether a change made any task worse than the margin.

    Args:
        tasks: the pairs of each task.
        margin: largest drop that passes, at least 0, in the unit of the scores.
        level: level of every test and bound, above 0 and below 0.5.
        missing: by task, old scores of samples that have no new score. They count as lost.
        worst: by task, the score of a lost sample, unless a worse one was seen; by default 0.

    Raises:
        ValueError: if there is no task, a task has no pairs or a score that is not finite, the
            margin is negative, or the level is not in its range.
    """
    if not tasks or not all(tasks.values()):
        raise ValueError("no pairs to compare")
    if not (margin >= 0 and isfinite(margin)):
        raise ValueError("the margin must be 0 or more")
    if not 0 < level < 0.5:  # noqa: PLR2004  # one-sided bounds would change sides
        raise ValueError("the level must be above 0 and below 0.5")
    grouped = {name: group(pairs) for name, pairs in tasks.items()}
    tests = {name: sign_test(task.sums, f"{SEED} {name}") for name, task in grouped.items()}
    adjusted = dict(zip(tests, holm([test.p for test in tests.values()]), strict=True))
    dropped = _worse(grouped, margin, level)
    lacking = {
        name: _missing(task, (missing or {}).get(name, ()), (worst or {}).get(name, 0.0))
        for name, task in grouped.items()
    }
    decided = {
        name: _decision(tasks[name], task, tests[name].p, margin, level, lacking[name])
        for name, task in grouped.items()
    }
    decided |= {name: _as_worse(decided[name]) for name in dropped}
    corrected = {name: replace(d, adjusted_p=adjusted[name]) for name, d in decided.items()}
    return Decisions(corrected, margin, joint_test([*tests.values()]))


def group(pairs: Iterable[Pair]) -> Clusters:
    """Add up pairs by cluster.

    Raises:
        ValueError: if a score is not finite, or beyond 1e100.
    """
    sums, sizes = defaultdict[Hashable, float](float), Counter[Hashable]()
    moved = defaultdict[Hashable, float](float)
    gained = lost = 0
    seen = {0.0}
    for number, (old, new, cluster) in enumerate(pairs):
        if not (abs(old) <= LARGEST and abs(new) <= LARGEST):
            raise ValueError("a score is not finite, or beyond 1e100")
        key = ("sample", number) if cluster is None else ("cluster", cluster)
        sums[key] += new - old
        moved[key] += abs(new - old)
        sizes[key] += 1
        gained += new > old
        lost += new < old
        seen |= {old, new}
    # What only rounding leaves of a sum is no change; squares of tiny sums would be 0.
    changes = (
        s if abs(s) > max(_ROUNDING * moved[key], 1 / LARGEST) else 0.0 for key, s in sums.items()
    )
    counts = (tuple(changes), tuple(sizes.values()), gained, lost)
    return Clusters(*counts, any(seen <= pair for pair in _BINARY), min(seen), max(seen))


def _decision(
    pairs: Sequence[Pair],
    clusters: Clusters,
    p: float,
    margin: float,
    level: float,
    missing: Missing,
) -> TaskDecision:
    """Return the decision on whether a task passes."""
    low, high = bounds(clusters, level)
    lowest = _with_lost(low, clusters, missing)
    verdict: Verdict = "undecided"
    if reason := too_few(clusters):
        pass
    elif lowest > -margin:
        verdict, reason = "passes", "a drop as large as the margin is excluded"
    else:
        lost = (
            f", with {missing.number} samples without a new score as lost" if missing.number else ""
        )
        reason = f"a drop of {-lowest:.3g} is not excluded{lost}"
    old = sum(pair.old for pair in pairs) / len(pairs)
    new = sum(pair.new for pair in pairs) / len(pairs)
    not_worse = margin_p(clusters, margin, level, missing)
    found = detectable(clusters, level)
    return TaskDecision(old, new, clusters, p, p, not_worse, low, high, found, verdict, reason)


def _as_worse(decision: TaskDecision) -> TaskDecision:
    return replace(decision, verdict="worse", reason="the drop is larger than the margin")


def too_few(clusters: Clusters) -> str:
    """Return the number of clusters that is too small to decide; empty if there are enough.

    Clusters of unequal size are as many as they count as.
    """
    count, effective = len(clusters.sums), clusters.effective
    if effective >= FEWEST_CLUSTERS:
        return ""
    noun = "cluster" if count == 1 else "clusters"
    unequal = f" that count as {effective:.1f}" if round(effective, 1) < count else ""
    return f"{count} {noun}{unequal}, at least {FEWEST_CLUSTERS} needed"


def margin_p(
    clusters: Clusters, margin: float, level: float = LEVEL, missing: Missing = NONE_MISSING
) -> float:
    """Return the one-sided p-value of "the change is a drop by the margin or more".

    It is the level at which the lower bound is at the margin, so it is below ``level`` if and only
    if the bound at that level is above it; 1 if no level below 0.5 excludes the drop.

    Args:
        clusters: the samples by cluster.
        margin: at least 0, in the unit of the scores.
        level: the level that decides.
        missing: the samples without a new score.
    """

    def excluded(level: float) -> bool:
        return _with_lost(bounds(clusters, level)[0], clusters, missing) > -margin

    if not excluded(_LARGEST_P):
        return 1.0
    low, high = (_SMALLEST_P, level) if excluded(level) else (level, _LARGEST_P)
    for _ in range(_HALVINGS):
        middle = sqrt(low * high)
        low, high = (low, middle) if excluded(middle) else (middle, high)
    return sqrt(low * high)


def _missing(clusters: Clusters, old_scores: Sequence[float], worst: float) -> Missing:
    """Return what samples without a new score can have lost: down to the worst score."""
    worst = min([worst, clusters.worst, *old_scores])
    return Missing(len(old_scores), sum(old - worst for old in old_scores))


def _with_lost(low: float, clusters: Clusters, missing: Missing) -> float:
    """Return a lower bound of the change with further samples that are lost."""
    return (clusters.samples * low - missing.lost) / (clusters.samples + missing.number)


def _worse(tasks: Mapping[str, Clusters], margin: float, level: float) -> set[str]:
    """Return the tasks whose drop is larger than the margin, by Holm's method."""
    eligible = {name for name, task in tasks.items() if task.effective >= FEWEST_CLUSTERS}
    rejected = set[str]()
    while remaining := eligible - rejected:
        share = level / (len(tasks) - len(rejected))
        more = {name for name in remaining if bounds(tasks[name], share)[1] < -margin}
        if not more:
            break
        rejected |= more
    return rejected


# Tests by random signs


@dataclass(frozen=True, slots=True)
class SignTest:
    """A sum and its distribution under random signs of its terms.

    Attributes:
        p: two-sided p-value of the sum.
        score: the sum over its standard deviation under random signs; 0 if no term differs from 0.
        draws: sums under 9,999 random sign vectors, over the same; empty if no term does.
    """

    p: float
    score: float = 0.0
    draws: Sequence[float] = field(default=(), repr=False)


def sign_test(sums: Sequence[float], seed: str = str(SEED)) -> SignTest:
    """Test a sum under random signs of its terms.

    Args:
        sums: the terms, one per cluster.
        seed: seeds the random signs.
    """
    changed = [s for s in sums if s]
    if not changed:
        return SignTest(1.0)
    generator = random.Random(seed)  # noqa: S311  # not for secrets
    scale = sqrt(sum(s * s for s in changed))
    score, size = sum(changed) / scale, abs(sum(changed)) / scale - _ROUNDING
    exact = _integers(changed)
    distribution = None if exact is None else _distribution(exact)
    if exact is None or distribution is None:
        draws = [total / scale for total in _random_sums(changed, generator)]
        return SignTest(_share_beyond(draws, size), score, draws)
    scale = sqrt(sum(i * i for i in exact))
    p = sum(p for total, p in distribution.items() if abs(total) / scale >= size)
    totals, weights = [*distribution], [*distribution.values()]
    drawn = generator.choices(totals, weights, k=RESAMPLES)
    return SignTest(min(1.0, max(p, SMALLEST_P)), score, [total / scale for total in drawn])


def joint_test(tests: Sequence[SignTest]) -> float:
    """Return the p-value of "nothing changed in any task", for tasks that share no samples.

    The statistic is the largest absolute value among the tasks' scores and their sum over its
    standard deviation: a large change in one task counts, whichever way others change, and so do
    small ones of the same sign in many (as in :mod:`benchmark.stats.joint`). The signs of tasks are
    independent, so tests of different tasks need different seeds.
    """
    changed = [test for test in tests if test.draws]
    if len(changed) <= 1:
        return changed[0].p if changed else 1.0
    draws = [_largest(scores) for scores in zip(*(test.draws for test in changed), strict=True)]
    return _share_beyond(draws, _largest([test.score for test in changed]) - _ROUNDING)


def _largest(scores: Sequence[float]) -> float:
    """Return the largest absolute value among scores of variance 1 and their scaled sum."""
    return max(abs(sum(scores)) / sqrt(len(scores)), *map(abs, scores))


def _share_beyond(draws: Sequence[float], size: float) -> float:
    """Return the p-value of a sum of this size: it counts as one of the draws."""
    return (sum(abs(draw) >= size for draw in draws) + 1) / (len(draws) + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted by Holm's method, in the same order."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def _integers(sums: Sequence[float]) -> list[int] | None:
    """Return sums other than 0 times their common denominator; None if they have no small one."""
    for denominator in range(1, _LARGEST_DENOMINATOR + 1):
        scaled = [s * denominator for s in sums]
        if all(round(v) and abs(v - round(v)) < 1e-6 for v in scaled):  # noqa: PLR2004
            return [round(value) for value in scaled]
    return None


def _distribution(values: Sequence[int]) -> dict[int, float] | None:
    """Return the distribution of a sum under random signs; None if that takes too long."""
    total = {0: 1.0}
    steps_left = _MOST_STEPS
    for size, count in sorted(Counter(map(abs, values)).items()):
        if not size:
            continue
        steps = [((2 * k - count) * size, p) for k, p in _coin_flips(count)]
        steps_left -= len(steps) * len(total)
        if steps_left < 0:
            return None
        added = defaultdict[int, float](float)
        for start, p in total.items():
            for step, q in steps:
                added[start + step] += p * q
        total = {value: p for value, p in added.items() if p > _NEGLIGIBLE}
    return total


def _coin_flips(count: int) -> list[tuple[int, float]]:
    """Return the numbers of heads in ``count`` flips with their probabilities."""
    log_half = -count * log(2)
    logs = (
        (k, lgamma(count + 1) - lgamma(k + 1) - lgamma(count - k + 1) + log_half)
        for k in range(count + 1)
    )
    return [(k, exp(value)) for k, value in logs if value > log(_NEGLIGIBLE)]


def _random_sums(values: Sequence[float], generator: random.Random) -> list[float]:
    """Return sums under random signs, byte by byte: eight signs are one look-up."""
    sums = [0.0] * RESAMPLES
    for start in range(0, len(values), 8):
        eight = [*values[start : start + 8], *[0.0] * 8][:8]
        table = [0.0]
        for value in eight:
            table = [t - value for t in table] + [t + value for t in table]
        signs = generator.randbytes(RESAMPLES)
        sums = [total + table[byte] for total, byte in zip(sums, signs, strict=True)]
    return sums


# Bounds


def bounds(clusters: Clusters, level: float) -> tuple[float, float]:
    """Return the one-sided lower and upper bound of the change, each at this level."""
    if len(clusters.sums) == 1:
        return -inf, inf
    return _binary_bounds(clusters, level) if clusters.binary else _mean_bounds(clusters, level)


def _mean_bounds(clusters: Clusters, level: float) -> tuple[float, float]:
    # The largest change of a cluster of root mean square size, as a share of all samples.
    largest = clusters.reach / sqrt(clusters.effective * len(clusters.sums))
    error = sqrt(clusters.spread**2 + largest**2)
    quantile = student_quantile(_degrees(clusters), 1 - level)
    distance = quantile * error + (1 + (quantile**2 - 1) / 3) * largest
    return clusters.change - distance, clusters.change + distance


def _degrees(clusters: Clusters) -> float:
    """Return the degrees of freedom of an error that is estimated from the clusters."""
    return max(1.0, clusters.effective - 1)


def _binary_bounds(clusters: Clusters, level: float) -> tuple[float, float]:
    size = _effective_samples(clusters, level)
    gained, lost = clusters.gained / clusters.samples, clusters.lost / clusters.samples
    gain_limits, loss_limits = (_share_limits(share, size, level) for share in (gained, lost))
    # The counts of a multinomial sample are correlated: what is gained is not lost.
    odds = gained * lost / ((1 - gained) * (1 - lost)) if gained * lost else 0.0

    def distance(one: float, other: float) -> float:
        return sqrt(one * one + other * other + 2 * sqrt(odds) * one * other)

    change = gained - lost
    low = change - distance(gained - gain_limits[0], loss_limits[1] - lost)
    high = change + distance(gain_limits[1] - gained, lost - loss_limits[0])
    return max(-1.0, low), min(1.0, high)


def _effective_samples(clusters: Clusters, level: float) -> float:
    """Return the number of independent samples with the same error of the change.

    The design effect is that of the change, and at least 1; of clusters that all hold one sample it
    is 1. The number is reduced as far as Student's t is wider than the normal distribution.
    """
    count, total = len(clusters.sums), clusters.samples
    if count == total:
        return float(total)
    share = (clusters.gained + clusters.lost) / total
    simple = (share - clusters.change**2) / total
    if simple > 0 and clusters.gained + clusters.lost:
        effect = max(1.0, clusters.spread**2 / simple)
    else:  # nothing shows how samples of a cluster change together
        effect = total / clusters.effective
    wider = student_quantile(_degrees(clusters), 1 - level) / normal_quantile(1 - level)
    return total / effect / wider**2


def _share_limits(share: float, size: float, level: float) -> tuple[float, float]:
    """Return the one-sided limits of Clopper and Pearson for a share of ``size`` samples."""
    successes, failures = share * size, (1 - share) * size
    low = beta_quantile(successes, failures + 1, level) if successes > 0 else 0.0
    high = beta_quantile(successes + 1, failures, 1 - level) if failures > 0 else 1.0
    return low, high


def detectable(clusters: Clusters, level: float = LEVEL) -> float | None:
    """Return the smallest change that the two-sided test finds with a power of 80 %.

    The change ``x`` is made of further changed clusters on top of those observed, so that it adds
    to the mean and to the variance: ``x = k * sqrt(noise + step * x)``, with ``k`` the sum of
    Student's quantiles of level and power. The noise is the observed one and one change more. The
    change is at most 1 for binary scores.
    """
    count = len(clusters.sums)
    if clusters.effective < FEWEST_CLUSTERS:
        return None
    total = clusters.samples
    squares = (clusters.spread * total) ** 2
    moved = sum(abs(s) for s in clusters.sums)
    step = max(clusters.unit, squares / moved if moved else 0.0) / total
    factor = student_quantile(count - 1, 1 - level / 2) + student_quantile(count - 1, POWER)
    half = factor**2 * step / 2
    smallest = half + sqrt(half**2 + factor**2 * (squares / total**2 + step**2))
    return None if clusters.binary and smallest > 1 else smallest


# Distributions


def normal_quantile(probability: float) -> float:
    """Return a quantile of the standard normal distribution."""
    from statistics import NormalDist

    return NormalDist().inv_cdf(probability)


@cache
def student_quantile(degrees: float, probability: float) -> float:
    """Return a quantile of Student's t distribution, by that of a beta distribution."""
    tail = min(probability, 1 - probability)
    share = beta_quantile(degrees / 2, 0.5, 2 * tail)
    return copysign(sqrt(degrees * (1 - share) / share), probability - 0.5) if share else inf


@cache
def beta_quantile(a: float, b: float, probability: float) -> float:
    """Return a quantile of the beta distribution with these parameters, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(200):
        middle = (low + high) / 2
        if middle in {low, high}:
            break
        low, high = (middle, high) if beta_cdf(a, b, middle) < probability else (low, middle)
    return (low + high) / 2


def beta_cdf(a: float, b: float, x: float) -> float:
    """Return the regularized incomplete beta function, by its continued fraction.

    The fraction is equation 8.17.22 of the NIST Digital Library of Mathematical Functions.
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_cdf(b, a, 1 - x)
    front = lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x)
    return exp(front) / (a * _fraction(lambda m: _beta_term(a, b, x, m)))


def _beta_term(a: float, b: float, x: float, number: int) -> float:
    m = number // 2
    if number % 2:
        return -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
    return m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))


def _fraction(term: Callable[[int], float]) -> float:
    """Return 1 + t1 / (1 + t2 / (1 + ...)) by Lentz's method."""
    tiny = 1e-300
    value = numerator = 1.0
    denominator = 0.0
    for number in range(1, 10_000):
        t = term(number)
        denominator = 1 / (1 + t * denominator or tiny)
        numerator = 1 + t / numerator or tiny
        factor = numerator * denominator
        value *= factor
        if abs(factor - 1) < 1e-15:  # noqa: PLR2004  # the last digit
            break
    return value
