"""A pair measured: its two models, and whether it shows what it is expected to show."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import hypot

from benchmark.errors import SettingError
from benchmark.models.published import PublishedModel, published_rows
from benchmark.models.registry_types import Pair
from benchmark.scoring.counts import Counts
from benchmark.stats.paired import PairedTest, PairedTests
from benchmark.stats.published import UnpairedTest, unpaired_test
from benchmark.stats.summary import Scored
from benchmark.tasks import DEFAULT

LEVEL = 0.05
"""Of the one-sided test of a gain, clustered by sequence."""

STRICT = 0.001
"""Two-sided level at which a figure is off the one it is held against.

A reproduction of all models makes some 80 such comparisons: one complete run in twelve would
exceed it by chance alone.
"""

_WIDTH = 2 * 1.96
"""Standard errors that a 95 % interval is wide."""


@dataclass(frozen=True, slots=True)
class PairVerdict:
    """Whether a pair's hypothesis holds on what was measured, and the figures in words.

    ``score`` says by which score; ``other`` is the verdict by the other one, if that differs.
    """

    holds: bool
    figures: str
    score: str = "set"
    other: "PairVerdict | None" = None


def judge(pair: Pair, tests: Mapping[str, PairedTests], task: str) -> PairVerdict:
    """Whether the pair shows at numops >= 1 what it is expected to show.

    Args:
        pair: the pair.
        tests: the paired tests of its two models' answers, by score.
        task: the name of the task that they answered.

    Raises:
        SettingError: for a pair that is compared with the paper, on another task.
    """
    if pair.hypothesis == "as published" and task != DEFAULT:
        raise SettingError(
            f"pair {pair.id} is compared with the paper's figures, which are of the task "
            f"{DEFAULT} and not of {task}; compare other models, or leave --task out"
        )
    return judge_tests(pair, {by: each.nontrivial for by, each in tests.items()})


def judge_tests(pair: Pair, tests: Mapping[str, PairedTest]) -> PairVerdict:
    """The same of the paired tests of its queries with numops >= 1, by score.

    A gain is judged by ``set``, the main measure; what is held against the paper by ``exact``,
    or by ``set`` if nothing else is known.
    """
    verdicts = {score: _judge(pair, test, score) for score, test in tests.items()}
    main = "exact" if pair.hypothesis == "as published" and "exact" in tests else "set"
    verdict = verdicts.pop(main)
    differing = (each for each in verdicts.values() if each.holds is not verdict.holds)
    other = next(differing, None)
    if other is None:
        return verdict
    answer = "holds" if other.holds else "does not hold"
    figures = f"{verdict.figures}; {answer} {other.figures}"
    return replace(verdict, figures=figures, other=other)


def _judge(pair: Pair, test: PairedTest, score: str) -> PairVerdict:
    low, high = (100 * end for end in test.interval)
    figures = (
        f"by {score}: {100 * test.difference:+.1f} points ({low:+.1f} to {high:+.1f}), "
        f"p = {test.greater:.2g} for a gain"
    )
    if pair.hypothesis == "gain":
        return PairVerdict(test.greater < LEVEL, figures, score)
    if pair.hypothesis == "no gain":
        return PairVerdict(test.greater >= LEVEL, figures, score)
    before = published_difference(pair)
    own_error = (test.interval.high - test.interval.low) / _WIDTH
    apart = UnpairedTest(test.difference - before.difference, hypot(before.error, own_error))
    figures = f"{figures}; published {100 * before.difference:+.1f}"
    return PairVerdict(apart.two_sided >= STRICT, figures, score)


def published_difference(pair: Pair) -> UnpairedTest:
    """The pair's difference at numops >= 1 in the published rows of its models.

    Raises:
        KeyError: when nothing is published of one of the models.
    """
    base, variant = (published_model(key) for key in (pair.base, pair.variant))
    if base is None or variant is None:
        raise KeyError(pair.id)
    return unpaired_test(_counts(base).nontrivial, _counts(variant).nontrivial)


def published_model(key: str) -> PublishedModel | None:
    """Return the published row of that registry key, of the paper or of its authors' data."""
    return published_rows().get(key)


def departures(model: PublishedModel, scores: Mapping[str, Scored], task: str) -> list[str]:
    """Where a measurement is off the published counts by more than chance, in words.

    By ``exact``, which the published counts most likely are. The test sets differ, so the counts
    are compared unpaired, at numops 0 and at numops >= 1, with the stated design effect.
    """
    if task != DEFAULT:
        return []
    summary = scores["exact"].summary
    counts = summary.by_numops
    pairs = {"numops >= 1": (_counts(model).nontrivial, summary.nontrivial.tally)}
    if 0 in counts:
        pairs["numops 0"] = (model.by_numops[0], counts[0].tally)
    tests = {name: (old, new, unpaired_test(old, new)) for name, (old, new) in pairs.items()}
    return [
        f"{model.name} at {name} by exact: {100 * new.accuracy:.1f}, "
        f"published {100 * old.accuracy:.1f}"
        for name, (old, new, test) in tests.items()
        if test.two_sided < STRICT
    ]


def _counts(model: PublishedModel) -> Counts:
    return Counts(model.by_numops)
