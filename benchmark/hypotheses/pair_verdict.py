"""The verdict on a measured pair: whether it shows what it is expected to show."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import hypot

from benchmark.errors import SettingError
from benchmark.models.published import PublishedModel, published_rows
from benchmark.models.registry_types import Pair
from benchmark.scoring.counts import Counts
from benchmark.stats.constants import LEVEL, RECORD_LEVEL
from benchmark.stats.paired import PairedTest, PairedTests
from benchmark.stats.published import UnpairedTest, unpaired_test
from benchmark.stats.summary import Scored
from benchmark.tasks import DEFAULT

_WIDTH = 2 * 1.96
"""Width of a 95 % interval in standard errors."""


@dataclass(frozen=True, slots=True)
class PairVerdict:
    """Whether a pair's hypothesis holds for the measurements, and the figures in words.

    ``score`` names the score that decides; ``other`` is the verdict by the other score, if that
    differs.
    """

    holds: bool
    figures: str
    score: str = "set"
    other: "PairVerdict | None" = None


def judge(pair: Pair, tests: Mapping[str, PairedTests], task: str) -> PairVerdict:
    """Decide whether the pair shows at numops >= 1 what it is expected to show.

    Args:
        pair: the pair.
        tests: paired tests of the answers of its two models, by score.
        task: name of the task.

    Raises:
        SettingError: if the pair is compared with the paper on a task other than the paper's.
    """
    if pair.hypothesis == "as published" and task != DEFAULT:
        raise SettingError(
            f"pair {pair.id} is compared with the paper's figures, which are of the task "
            f"{DEFAULT} and not of {task}; compare other models, or leave --task out"
        )
    return judge_tests(pair, {by: groups.nontrivial for by, groups in tests.items()})


def judge_tests(pair: Pair, tests: Mapping[str, PairedTest]) -> PairVerdict:
    """Decide from the paired tests of the queries with numops >= 1, by score.

    A gain is judged by ``set``, the main measure. A comparison with the paper is judged by
    ``exact``, or by ``set`` if ``exact`` is not available.
    """
    verdicts = {score: _judge(pair, test, score) for score, test in tests.items()}
    main = "exact" if pair.hypothesis == "as published" and "exact" in tests else "set"
    verdict = verdicts.pop(main)
    other = next((v for v in verdicts.values() if v.holds is not verdict.holds), None)
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
    return PairVerdict(apart.two_sided >= RECORD_LEVEL, figures, score)


def published_difference(pair: Pair) -> UnpairedTest:
    """Return the pair's published difference at numops >= 1.

    Raises:
        KeyError: if one of the models has no published row.
    """
    base, variant = (published_model(key) for key in (pair.base, pair.variant))
    if base is None or variant is None:
        raise KeyError(pair.id)
    return unpaired_test(_counts(base).nontrivial, _counts(variant).nontrivial)


def published_model(key: str) -> PublishedModel | None:
    """Return the published row of a registry key, from the paper or from its authors' data."""
    return published_rows().get(key)


def departures(model: PublishedModel, scores: Mapping[str, Scored], task: str) -> list[str]:
    """Describe where a measurement differs significantly from the published counts.

    The comparison is by ``exact``, most likely the score of the published counts. The test sets
    differ, so counts are compared unpaired, at numops 0 and at numops >= 1, with the stated
    design effect.
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
        if test.two_sided < RECORD_LEVEL
    ]


def _counts(model: PublishedModel) -> Counts:
    return Counts(model.by_numops)
