"""Decisions, compared with naive versions of the tests with a margin."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student

from benchmark.package_data import package_parent
from benchmark.stats.decision import (
    Decision,
    Effect,
    difference,
    equivalence,
    gain,
    non_inferiority,
    within,
)
from benchmark.stats.differences import clustered_difference
from benchmark.stats.intervals import Interval
from benchmark.stats.points import SCORE
from benchmark.stats.published import UnpairedTest, departure_from

SHARES = st.floats(-0.2, 0.2)
CLUSTERS = st.lists(
    st.integers(1, 14).flatmap(lambda n: st.tuples(st.integers(-n, n), st.just(n))),
    min_size=20,
    max_size=40,
)


def test_the_standard_library_suffices() -> None:
    """The module can be imported without any other package."""
    code = f"import sys; sys.path.insert(0, {str(package_parent())!r})\n"
    command = [sys.executable, "-I", "-S", "-c", f"{code}import benchmark.stats.decision"]
    assert subprocess.run(command, check=False).returncode == 0  # noqa: S603  # this interpreter


def _effect(low: float, high: float, detectable: float | None = None) -> Effect:
    return Effect((low + high) / 2, Interval(low, high), "", detectable, "none")


@pytest.mark.parametrize(
    ("p", "doubt", "verdict", "reason"),
    [
        (0.049, "", "supported", "beyond clustered error"),
        (0.05, "", "undecided", "within clustered error"),
        (0.001, "3 sequences", "undecided", "3 sequences"),
    ],
)
def test_a_difference_is_supported_or_undecided(
    p: float, doubt: str, verdict: str, reason: str
) -> None:
    """A difference that is not significant is not refuted."""
    decision = difference(_effect(-0.1, 0.2), p, doubt=doubt)
    assert (decision.verdict, decision.reason) == (verdict, reason)
    assert decision == difference(_effect(-0.1, 0.2), 0.9, doubt=doubt).with_p(p)


@pytest.mark.parametrize(
    ("interval", "p", "is_loss", "verdict"),
    [
        (Interval(0.01, 0.1), 0.01, False, "supported"),
        (Interval(-0.1, 0.1), 0.3, False, "undecided"),
        (Interval(-0.1, -0.01), 0.99, False, "not supported"),
        (None, 0.99, True, "not supported"),
        (None, 0.99, False, "undecided"),
    ],
)
def test_a_gain_is_refuted_if_it_is_excluded(
    interval: Interval | None, p: float, *, is_loss: bool, verdict: str
) -> None:
    """The interval excludes a gain, or without one the two-sided test."""
    decision = gain(Effect(0.0, interval, "few"), p, is_loss=is_loss)
    assert decision.verdict == verdict
    assert gain(decision.effect, p, is_loss=is_loss, doubt="why").verdict == "undecided"


@given(SHARES, st.floats(0.001, 0.1), st.floats(0.001, 0.2), st.sampled_from([0.01, 0.05]))
def test_margins_by_naive_one_sided_tests(
    value: float, error: float, margin: float, level: float
) -> None:
    """Both one-sided tests reject exactly if the interval is within the margin."""
    effect = Effect(value, Interval(*student(30, value, error).interval(1 - 2 * level)))
    p_low = float(student.sf((value + margin) / error, 30))
    p_high = float(student.cdf((value - margin) / error, 30))
    equal = equivalence(effect, max(p_low, p_high), margin, level)
    assert (equal.verdict == "supported") is (max(p_low, p_high) < level)
    beyond = min(1 - p_low, 1 - p_high) < level
    assert (equal.verdict == "not supported") is beyond
    not_worse = non_inferiority(effect, p_low, margin, level)
    assert (not_worse.verdict == "supported") is (p_low < level)
    assert (not_worse.verdict == "not supported") is (1 - p_low < level)


@settings(max_examples=25)
@given(CLUSTERS, st.floats(0.001, 0.3), st.sampled_from([0.01, 0.05]))
def test_verdict_and_p_value_of_outcomes_agree(
    clusters: list[tuple[int, int]], margin: float, level: float
) -> None:
    """A claim is supported if and only if its p-value is below the level."""
    differences, sizes = (np.array(column) for column in zip(*clusters, strict=True))
    measured = clustered_difference(differences, sizes)
    for decision in (
        measured.equivalence(margin, level),
        measured.non_inferiority(margin, level),
    ):
        assert (decision.verdict == "supported") is (decision.p < level)


@pytest.mark.parametrize("clusters", [20, 59, 60, 400])
def test_without_changes_the_number_of_sequences_decides(clusters: int) -> None:
    """No change in n sequences excludes a share with which none has a probability below 5 %."""
    same = clustered_difference(np.zeros(clusters, dtype=np.int64), np.full(clusters, 7))
    decision = same.equivalence(0.05, 0.05)
    none_changes = 0.95**clusters
    assert decision.p == pytest.approx(none_changes)
    assert (decision.verdict == "supported") is (none_changes < 0.05) is (clusters >= 59)
    low, high = same.bounds(0.05)
    assert -low == high
    assert (1 - high) ** clusters == pytest.approx(0.05)


def test_few_sequences_decide_nothing() -> None:
    """Below 20 sequences a claim with a margin is undecided, and below 12 has no power either."""
    for clusters in (5, 19):
        same = clustered_difference(np.zeros(clusters, dtype=np.int64), np.full(clusters, 7))
        decision = same.equivalence(0.5, 0.05)
        assert decision.verdict == "undecided"
        assert decision.reason == f"{clusters} sequences, at least 20 needed"
        assert ("at least 12 needed" in decision.report()) is (clusters < 12)


def test_a_departure_from_a_published_difference() -> None:
    """Two levels: equal within 5 points at 5 %, different at 0.1 %."""
    rng = np.random.default_rng(2)
    own = clustered_difference(rng.integers(-3, 4, 200), np.full(200, 7))
    for published, equal, differs in (
        (own.value, "supported", "undecided"),
        (own.value + 0.045, "undecided", "undecided"),
        (own.value + 0.2, "not supported", "supported"),
    ):
        departure = departure_from(own, UnpairedTest(published, 0.01))
        assert departure.is_equal().verdict == equal
        assert departure.is_equal().p == pytest.approx(
            student.sf((0.05 - abs(departure.value)) / departure.error, departure.degrees)
        )
        assert departure.differs().verdict == differs


@pytest.mark.parametrize(
    ("decision", "parts"),
    [
        (
            difference(_effect(-0.01, 0.02, 0.021), 0.41),
            (
                "a difference: undecided",
                "+0.5 points (95 % interval -1.0 to +2.0), p = 0.41",
                "within clustered error",
                "a difference of 2.1 points would be found (power 80 %)",
            ),
        ),
        (
            gain(Effect(0.1, None, "few", None, "unknown, few"), 0.2, is_loss=False, doubt="few"),
            (
                "a gain: undecided",
                "+10.0 points (no interval: few), p = 0.2",
                "few",
                "how small a gain would be found: unknown, few",
            ),
        ),
        (
            equivalence(_effect(-0.004, 0.006), 0.003, 0.01),
            (
                "equal within 1 point: supported",
                "+0.1 points (90 % interval -0.4 to +0.6), p = 0.003",
                "the interval is within the margin of 1 point",
            ),
        ),
        (
            non_inferiority(_effect(-0.08, -0.06, 0.01), 0.99, 0.025),
            (
                "no loss of 2.5 points: not supported",
                "-7.0 points (90 % interval -8.0 to -6.0), p = 0.99",
                "the interval is beyond the margin of 2.5 points",
                "a loss of 1.0 points would be found (power 80 %)",
            ),
        ),
    ],
)
def test_a_report_is_one_line(decision: Decision, parts: tuple[str, ...]) -> None:
    """It has claim, verdict, figures and reason, and the power of what is not supported."""
    assert decision.report() == "; ".join(parts)


def test_as_json() -> None:
    """Shares are in points; what is missing is null."""
    decision = equivalence(_effect(-0.004, 0.0061), 0.00312345, 0.01)
    assert decision.as_json() == {
        "claim": "equivalence",
        "verdict": "supported",
        "reason": "the interval is within the margin of 1 point",
        "level": 0.05,
        "unit": "points",
        "margin": 1.0,
        "difference": 0.11,
        "low": -0.4,
        "high": 0.61,
        "no_interval": None,
        "p": 0.00312,
        "detectable": None,
        "no_detectable": "none",
    }


def test_scores_in_a_unit_of_their_own() -> None:
    """A difference that is no share is written as it is, in words and as JSON."""
    effect = Effect(-1.25, Interval(-2.5, 1e-7), "", 0.75, "", SCORE)
    decision = non_inferiority(effect, 0.4, 1.5)
    assert decision.report() == (
        "no loss of 1.5: undecided; -1.250 (90 % interval -2.500 to +0.000), p = 0.4; "
        "the interval crosses the margin of 1.5; a loss of 0.750 would be found (power 80 %)"
    )
    document = decision.as_json()
    assert (document["unit"], document["margin"]) == ("score", 1.5)
    assert (document["low"], document["high"], document["detectable"]) == (-2.5, 1e-7, 0.75)


def test_only_differences_are_adjusted() -> None:
    """The interval decides a claim with a margin, so an adjusted p-value is an error."""
    with pytest.raises(ValueError, match="equivalence is not adjusted"):
        equivalence(_effect(-0.1, 0.1), 0.1, 0.2).with_p(0.2)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(-1, 1, "supported"), (1, 2, "undecided"), (1.1, 2, "not supported"), (-2, 2, "undecided")],
)
def test_within(low: float, high: float, verdict: str) -> None:
    """The limits belong to what is within them."""
    assert within(Interval(low, high), -1, 1) == verdict
