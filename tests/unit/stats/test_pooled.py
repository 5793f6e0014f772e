"""Pooled effects, compared with statsmodels and with sums by hand."""

from unittest.mock import patch

import numpy as np
import pytest
from scipy.stats import chi2
from scipy.stats import t as student
from statsmodels.stats.meta_analysis import combine_effects

from benchmark.records import Outcome, Tally
from benchmark.stats import pooled
from benchmark.stats.pooled import pool, pooled_counts, pooled_outcomes


@pytest.mark.parametrize("spread", [0.0, 0.1])
def test_independent_pairs_match_statsmodels(spread: float) -> None:
    """Mean, variance between pairs, Q and I squared are those of Paule and Mandel's method."""
    rng = np.random.default_rng(4)
    variances = rng.uniform(0.0004, 0.002, 6)
    effects = 0.1 + rng.normal(size=6) * np.sqrt(spread**2 + variances / 2)
    ours = pool(effects, np.diag(variances))
    theirs = combine_effects(effects, variances, method_re="iterated", atol=1e-10)
    assert (ours.tau > 0) is (spread > 0)
    assert ours.q == pytest.approx(theirs.q)
    assert ours.q_p == pytest.approx(chi2.sf(ours.q, 5))
    assert ours.i_squared == pytest.approx(max(0.0, theirs.i2))
    assert ours.tau**2 == pytest.approx(max(0.0, theirs.tau2), abs=1e-7)
    weights = 1 / (variances + ours.tau**2)
    mean = float((weights * effects).sum() / weights.sum())
    assert ours.value == pytest.approx(mean)
    scale = max(1.0, float((weights * (effects - mean) ** 2).sum()) / 5)
    assert ours.error**2 == pytest.approx(scale / weights.sum())


def test_correlated_estimates_by_hand() -> None:
    """Q at the variance between pairs is its expectation, also with a shared base."""
    effects = np.array([0.1, 0.2, 0.5])
    covariance = np.array([[0.002, 0.001, 0.001], [0.001, 0.003, 0.001], [0.001, 0.001, 0.002]])
    ours = pool(effects, covariance)
    whitening = np.linalg.inv(np.linalg.cholesky(covariance + ours.tau**2 * np.eye(3)))
    y, ones = whitening @ effects, whitening @ np.ones(3)
    mean = float(y @ ones / (ones @ ones))
    assert ours.value == pytest.approx(mean)
    assert float(((y - mean * ones) ** 2).sum()) == pytest.approx(2.0)
    assert ours.error == pytest.approx(1 / np.sqrt(ones @ ones))
    decision = ours.differs()
    assert decision.p == pytest.approx(2 * student.sf(abs(ours.value / ours.error), 2))
    assert decision.effect.interval == pytest.approx(
        student.interval(0.95, 2, ours.value, ours.error)
    )


def test_counts_that_share_a_base_are_correlated() -> None:
    """The covariance of two pairs with the same base is the variance of the base."""
    tallies = {"base": Tally(48, 98), "a": Tally(60, 98), "b": Tally(70, 98), "c": Tally(20, 98)}
    with patch.object(pooled, "pool") as called:
        pooled_counts([("base", "a"), ("base", "b"), ("a", "c")], tallies, 1.0)
    effects, covariance = called.call_args.args

    def variance(name: str) -> float:
        rate = (tallies[name].correct + 1) / 100
        return rate * (1 - rate) / 98

    assert effects == pytest.approx(np.array([12, 22, -40]) / 98)
    assert covariance[0, 1] == pytest.approx(variance("base"))
    assert covariance[0, 2] == pytest.approx(-variance("a"))
    assert covariance[1, 1] == pytest.approx(variance("base") + variance("b"))
    assert covariance[1, 2] == 0


def test_outcomes_of_the_same_states_are_correlated() -> None:
    """The covariance is that of the differences of the sequences, here by loops."""
    rng = np.random.default_rng(3)
    models = {
        name: [
            Outcome(n // 2, (0, 1, 2, 3), tuple(map(bool, rng.integers(0, 2, 4))))
            for n in range(60)
        ]
        for name in "abcd"
    }
    pairs = [("a", "b"), ("a", "c"), ("a", "d")]
    with patch.object(pooled, "pool") as called:
        pooled_outcomes(pairs, models)
    effects, covariance = called.call_args.args

    def differences(pair: tuple[str, str]) -> list[int]:
        totals = [0] * 30
        for base, variant in zip(models[pair[0]], models[pair[1]], strict=True):
            totals[base.sample_id] += sum(variant.correct[1:]) - sum(base.correct[1:])
        return totals

    for i, one in enumerate(pairs):
        assert effects[i] == pytest.approx(sum(differences(one)) / 180)
        for j, other in enumerate(pairs):
            expected = np.cov(differences(one), differences(other))[0, 1] * 30 + 2 * (i == j)
            assert covariance[i, j] == pytest.approx(expected / 180**2)


def test_two_pairs_are_not_pooled() -> None:
    """With two pairs the variance between them is a guess."""
    with pytest.raises(ValueError, match="2 pairs, at least 3 needed"):
        pool(np.zeros(2), np.eye(2))
