"""Logistic regression: closed forms, a naive second implementation, and separation."""

from math import exp, inf, log, sqrt

import numpy as np
import pytest

from benchmark.stats.constants import MIN_CLUSTERS_TO_BE_SURE
from benchmark.stats.logistic import INTERCEPT, logistic_regression


def drawn(seed: int, queries: int = 400) -> tuple[dict[str, list[float]], list[bool], list[int]]:
    """Return two predictors, outcomes that depend on both and on the cluster, and the clusters."""
    rng = np.random.default_rng(seed)
    clusters = rng.integers(0, 40, queries)
    x, z = rng.integers(0, 4, queries), rng.integers(0, 2, queries)
    odds = 0.6 - 0.5 * x + 0.8 * z + rng.normal(0, 0.7, 40)[clusters]
    right = rng.random(queries) < 1 / (1 + np.exp(-odds))
    predictors = {"x": list(map(float, x)), "z": list(map(float, z))}
    return predictors, list(map(bool, right)), list(map(int, clusters))


def naive(
    predictors: dict[str, list[float]], right: list[bool], clusters: list[int]
) -> tuple[list[float], list[float]]:
    """Return coefficients by gradient ascent, and errors by sums over queries, in plain Python."""
    rows = [[1.0, *values] for values in zip(*predictors.values(), strict=True)]
    width, beta = len(rows[0]), [0.0] * len(rows[0])

    def chance(row: list[float]) -> float:
        return 1 / (1 + exp(-sum(b * x for b, x in zip(beta, row, strict=True))))

    for _ in range(4000):
        gradient = [0.0] * width
        for row, y in zip(rows, right, strict=True):
            residual = y - chance(row)
            gradient = [g + x * residual for g, x in zip(gradient, row, strict=True)]
        beta = [b + g / len(rows) * 1.5 for b, g in zip(beta, gradient, strict=True)]
        if max(map(abs, gradient)) < 1e-8:
            break
    information = [[0.0] * width for _ in range(width)]
    scores: dict[int, list[float]] = {}
    for row, y, cluster in zip(rows, right, clusters, strict=True):
        p = chance(row)
        sums = scores.setdefault(cluster, [0.0] * width)
        for i in range(width):
            sums[i] += row[i] * (y - p)
            for j in range(width):
                information[i][j] += row[i] * row[j] * p * (1 - p)
    middle = sum(np.outer(score, score) for score in scores.values())
    bread = np.linalg.inv(np.array(information))
    count, total = len(scores), len(rows)
    factor = count / (count - 1) * (total - 1) / (total - width)
    return beta, list(np.sqrt(np.diag(bread @ middle @ bread) * factor))


def test_coefficients_and_errors_are_those_of_a_naive_implementation() -> None:
    """Gradient ascent and sums over single queries lead to the same figures."""
    data = drawn(1, 120)
    coefficients, errors = naive(*data)
    fit = logistic_regression(*data)
    assert list(fit.effects) == [INTERCEPT, "x", "z"]
    for effect, value, error in zip(fit.effects.values(), coefficients, errors, strict=True):
        assert effect.log_odds == pytest.approx(value, abs=1e-6)
        assert effect.error == pytest.approx(error, rel=1e-5)


def test_one_binary_predictor_has_its_closed_form() -> None:
    """The odds ratio is that of the 2x2 table; the error is Woolf's, times the correction."""
    cells = {(0.0, True): 30, (0.0, False): 10, (1.0, True): 15, (1.0, False): 45}
    queries = [cell for cell, number in cells.items() for _ in range(number)]
    x, right = [value for value, _ in queries], [correct for _, correct in queries]
    effect = logistic_regression({"x": x}, right, range(100)).effects["x"]
    assert effect.odds_ratio == pytest.approx((15 / 45) / (30 / 10))
    woolf = sqrt(sum(1 / number for number in cells.values()))
    assert effect.error == pytest.approx(woolf * sqrt(100 / 99 * 99 / 98))
    assert effect.p is not None
    assert effect.p < 1e-4
    low, high = effect.interval or (0, 0)
    assert sqrt(low * high) == pytest.approx(effect.odds_ratio)


def test_repeating_every_query_within_its_cluster_adds_no_information() -> None:
    """Five copies in the same cluster have the errors of one, in other clusters smaller ones."""
    predictors, right, _ = drawn(3, 200)
    once = logistic_regression(predictors, right, range(200))
    copies = {name: values * 5 for name, values in predictors.items()}
    same = logistic_regression(copies, right * 5, list(range(200)) * 5)
    apart = logistic_regression(copies, right * 5, range(1000))
    correction = sqrt((999 / 997) / (199 / 197))
    for name, effect in once.effects.items():
        assert same.effects[name].log_odds == pytest.approx(effect.log_odds)
        assert same.effects[name].error == pytest.approx((effect.error or 0) * correction)
        assert apart.effects[name].error == pytest.approx((effect.error or 0) / sqrt(5), rel=0.01)


def test_intervals_cover_the_truth() -> None:
    """Of 200 data sets without an effect of x, about 5 % have p below 5 % (normal limits, 1e-4)."""
    rejected = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        clusters = np.repeat(np.arange(30), 6)
        odds = np.repeat(rng.normal(0, 1, 30), 6)
        x = np.repeat(rng.integers(0, 2, 30), 6)  # varies between clusters only
        right = rng.random(180) < 1 / (1 + np.exp(-odds))
        p = logistic_regression({"x": list(x)}, list(right), list(clusters)).effects["x"].p
        rejected += (1.0 if p is None else p) < 0.05
    assert abs(rejected - 10) < 3.9 * sqrt(200 * 0.05 * 0.95)


def test_quasi_separation_leaves_the_other_coefficients() -> None:
    """If x = 0 is always right, its odds ratio is 0, and z is that of the queries with x = 1."""
    predictors, right, clusters = drawn(5)
    right = [y or x == 0 for y, x in zip(right, predictors["x"], strict=True)]
    binary = {"x": [float(x > 0) for x in predictors["x"]], "z": predictors["z"]}
    fit = logistic_regression(binary, right, clusters)
    kept = [number for number, x in enumerate(binary["x"]) if x]
    rest = logistic_regression(
        {"z": [binary["z"][n] for n in kept]},
        [right[n] for n in kept],
        [clusters[n] for n in kept],
    )
    assert fit.separated == len(right) - len(kept)
    assert (fit.effects["x"].log_odds, fit.effects["x"].odds_ratio) == (-inf, 0)
    figures = (fit.effects["x"].interval, fit.effects["x"].p, fit.effects["x"].error)
    assert figures == (None, None, None)
    assert "separated" in fit.effects["x"].note
    assert fit.effects["z"] == rest.effects["z"]
    assert fit.as_json()["effects"]["x"]["odds_ratio"] is None  # type: ignore[index]


def test_separation_in_a_combination_is_found() -> None:
    """Here x - z alone decides: neither predictor does, and both are without bound."""
    cells = [(x, z) for x in range(3) for z in range(3) if x != z for _ in range(4)]
    fit = logistic_regression(
        {"x": [x for x, _ in cells], "z": [z for _, z in cells]},
        [x > z for x, z in cells],
        range(len(cells)),
    )
    assert fit.separated == len(cells)
    assert (fit.effects["x"].log_odds, fit.effects["z"].log_odds) == (inf, -inf)


def test_only_right_answers_say_nothing_about_a_predictor() -> None:
    """The intercept has no bound; the predictor may go either way."""
    fit = logistic_regression({"x": [0, 1] * 20}, [True] * 40, range(40))
    assert fit.effects[INTERCEPT].log_odds == inf
    assert fit.effects["x"].log_odds is None
    assert "not identified" in fit.effects["x"].note


def test_predictors_that_do_not_vary_on_their_own_are_named() -> None:
    """A constant, or a multiple of another predictor, has no coefficient; the rest does."""
    predictors, right, clusters = drawn(2)
    alone = logistic_regression({"x": predictors["x"]}, right, clusters)
    constant = logistic_regression({"x": predictors["x"], "c": [0.0] * 400}, right, clusters)
    assert constant.effects["x"].log_odds == pytest.approx(alone.effects["x"].log_odds)
    assert constant.effects["c"].log_odds is None
    doubled = {"x": predictors["x"], "twice": [2 * x for x in predictors["x"]]}
    fit = logistic_regression(doubled, right, clusters)
    assert fit.effects["x"].log_odds is fit.effects["twice"].log_odds is None


def test_few_clusters_have_no_interval() -> None:
    """From 20 clusters on there is an interval: with fewer, its level is above 5 %."""
    for clusters, has_interval in ((MIN_CLUSTERS_TO_BE_SURE - 1, False), (20, True)):
        x = [0.0, 1.0, 0.0, 1.0] * clusters
        right = [n % 3 == 0 for n in range(4 * clusters)]
        numbers = [n // 4 for n in range(4 * clusters)]
        effect = logistic_regression({"x": x}, right, numbers).effects["x"]
        assert (effect.interval is not None) is (effect.p is not None) is has_interval
    single = logistic_regression({"x": x}, right, [0] * len(x)).effects["x"]
    assert single.log_odds is not None
    assert single.error is None


def test_one_value_per_query_is_needed() -> None:
    """Other lengths, and no query, are refused."""
    for right in ([], [True, False]):
        with pytest.raises(ValueError, match="one value per query"):
            logistic_regression({"x": [1.0] * (len(right) // 2)}, right, range(len(right)))


def test_large_effects_do_not_overflow() -> None:
    """Rare exceptions make odds ratios of thousands, with finite intervals."""
    x = [0.0] * 3000 + [1.0] * 3000
    right = [False] * 2999 + [True] + [True] * 2999 + [False]
    effect = logistic_regression({"x": x}, right, [n % 40 for n in range(6000)]).effects["x"]
    assert effect.log_odds == pytest.approx(2 * log(2999))
    assert effect.interval is not None
