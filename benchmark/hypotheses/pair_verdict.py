"""The verdict on a measured pair: whether it shows the expected difference."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from benchmark.errors import SettingError
from benchmark.models.published import PublishedModel, published_rows
from benchmark.models.registry_types import Pair
from benchmark.scoring.counts import Counts
from benchmark.stats.constants import (
    CLOSE_MARGIN,
    FEW_CLUSTERS,
    MIN_CLUSTERS_TO_BE_SURE,
    RECORD_LEVEL,
)
from benchmark.stats.decision import Decision
from benchmark.stats.differences import ClusteredDifference, too_few
from benchmark.stats.paired import PairedTest, PairedTests
from benchmark.stats.points import POINTS, signed_points
from benchmark.stats.published import UnpairedTest, departure_from, unpaired_test
from benchmark.stats.states_needed import few_states_warning
from benchmark.stats.summary import Scored
from benchmark.tasks import DEFAULT

PairStatus = Literal["supported", "not contradicted", "not supported", "undecided"]


@dataclass(frozen=True, slots=True)
class PairVerdict:
    """The verdict on a pair's hypothesis.

    Attributes:
        status: the absence of a gain is at best not contradicted.
        score: the score that decides.
        other: the verdict by the other score, if its status differs.
        warning: why the verdict says little; empty if there are enough states.
        decision: the statistical decision it rests on; None if too few sequences differ for one.
    """

    status: PairStatus
    reason: str
    figures: str
    score: str = "set"
    other: "PairVerdict | None" = None
    warning: str = ""
    decision: Decision | None = None

    @property
    def holds(self) -> bool | None:
        """Return whether the measurements agree with the hypothesis; None if undecided."""
        if self.status == "undecided":
            return None
        return self.status != "not supported"

    @property
    def words(self) -> str:
        """Return status, reason, figures and warning in one line."""
        return "; ".join(
            filter(None, (f"{self.status}: {self.reason}", self.figures, self.warning))
        )


def judge(
    pair: Pair, tests: Mapping[str, PairedTests], task: str, margin: float = CLOSE_MARGIN
) -> PairVerdict:
    """Decide whether the pair shows the expected difference at numops >= 1.

    Args:
        pair: the pair.
        tests: paired tests of its models' answers, by score.
        task: the task of the answers.
        margin: largest departure (0..1) from the published difference that counts as none.

    Raises:
        SettingError: if the pair is compared with the paper on a task other than the paper's.
    """
    if pair.hypothesis == "as published" and task != DEFAULT:
        raise SettingError(
            f"pair {pair.id} is compared with the paper's figures, which are of the task "
            f"{DEFAULT} and not of {task}; compare other models, or leave --task out"
        )
    return judge_tests(pair, {by: groups.nontrivial for by, groups in tests.items()}, margin)


def judge_tests(
    pair: Pair, tests: Mapping[str, PairedTest], margin: float = CLOSE_MARGIN
) -> PairVerdict:
    """Decide from the paired tests of the queries with numops >= 1, by score.

    A gain is judged by ``set``, the main measure. A comparison with the paper is judged by
    ``exact``, or by ``set`` if ``exact`` is not available.
    """
    verdicts = {score: _judge(pair, test, score, margin) for score, test in tests.items()}
    main = "exact" if pair.hypothesis == "as published" and "exact" in tests else "set"
    verdict = replace(verdicts.pop(main), warning=few_states_warning(tests[main].states))
    other = next((v for v in verdicts.values() if v.status != verdict.status), None)
    if other is None:
        return verdict
    figures = f"{verdict.figures}; {other.status} {other.figures}"
    return replace(verdict, figures=figures, other=other)


def _judge(pair: Pair, test: PairedTest, score: str, margin: float) -> PairVerdict:
    gain = test.gains()
    figures = (
        f"by {score}: {signed_points(test.difference)} points ({gain.effect.interval_words}), "
        f"p = {test.greater:.2g} for a gain"
    )
    if pair.hypothesis == "as published":
        published = published_difference(pair)
        figures = f"{figures}; published {signed_points(published.difference)}"
        status, reason, decision = _as_published(test.clustered, published, margin)
    else:
        expected = pair.hypothesis == "gain"
        status, reason, decision = *(_gain if expected else _no_gain)(gain), gain
    return PairVerdict(status, reason, figures, score, decision=decision)


def _gain(gain: Decision) -> tuple[PairStatus, str]:
    """Return the verdict on an expected gain."""
    power = f"; {gain.power()}" if gain.verdict == "undecided" and not gain.doubt else ""
    return gain.verdict, gain.reason + power


def _no_gain(gain: Decision) -> tuple[PairStatus, str]:
    """Return the verdict on the absence of a gain, which is at best not contradicted."""
    if gain.verdict == "supported":
        return "not supported", gain.reason
    if gain.doubt:
        return "undecided", gain.doubt
    return "not contradicted", f"no gain beyond clustered error; {gain.power()}"


def _as_published(
    own: ClusteredDifference, published: UnpairedTest, margin: float
) -> tuple[PairStatus, str, Decision | None]:
    """Decide whether a difference departs from the published one, or is equal within a margin."""
    if doubt := _few_differ(own):
        return "undecided", doubt, None
    departure = departure_from(own, published)
    departs, equal = departure.differs(), departure.is_equal(margin)
    if departs.verdict == "supported":
        reason = f"departs from the published difference (p = {departure.p:.2g})"
        return "not supported", reason, departs
    is_equal = equal.verdict == "supported"
    words = "equals the published difference" if is_equal else "not shown to equal it"
    reason = (
        f"{words} within {POINTS.margin(margin)} ({equal.coverage} of the departure "
        f"{equal.effect.interval_words}); {departs.power('a departure')}"
    )
    return "supported" if is_equal else "undecided", reason, equal


def _few_differ(own: ClusteredDifference) -> str:
    """Return why a difference cannot be compared with the paper's; empty if it can."""
    if own.clusters < MIN_CLUSTERS_TO_BE_SURE:
        return too_few(own.clusters, MIN_CLUSTERS_TO_BE_SURE)
    if own.error is None:
        return own.no_interval
    if own.deviating < FEW_CLUSTERS:
        differing = f"{own.deviating} of {own.clusters} sequences differ from the rest"
        return f"{differing}, at least {FEW_CLUSTERS} needed"
    return ""


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
    design effect. Fewer than :data:`MIN_CLUSTERS_TO_BE_SURE` sequences show no departure.
    """
    sequences = {outcome.sample_id for outcome in scores["exact"].outcomes}
    if task != DEFAULT or len(sequences) < MIN_CLUSTERS_TO_BE_SURE:
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
        if test.differs(RECORD_LEVEL).verdict == "supported"
    ]


def _counts(model: PublishedModel) -> Counts:
    return Counts(model.by_numops)
