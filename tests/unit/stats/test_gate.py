"""The gate's decision: exact p-values, bounds and levels, on the standard library alone."""

import builtins
import importlib.util
import itertools
import math
import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from benchmark.stats import gate
from benchmark.stats.gate import SMALLEST_P, Pair, decide, group, holm, joint_test, sign_test


def _enumerated(sums: Sequence[float]) -> float:
    """Return the p-value over all sign vectors."""
    signs = itertools.product((-1, 1), repeat=len(sums))
    totals = [abs(sum(s * x for s, x in zip(v, sums, strict=True))) for v in signs]
    return sum(total >= abs(sum(sums)) - 1e-9 for total in totals) / len(totals)


@pytest.mark.parametrize(
    "sums",
    [[1, 1, 1], [2, -1, 1, 3, 0, 0], [1 / 7, 3 / 7, -2 / 7, 5 / 7], [1, -1], [0.5, 1, 1, -0.25]],
)
def test_exact_p_value(sums: list[float]) -> None:
    """It is that of all sign vectors, enumerated."""
    assert sign_test(sums).p == pytest.approx(_enumerated(sums))


@pytest.mark.parametrize(("lost", "gained"), [(0, 0), (8, 2), (30, 12), (400, 330)])
def test_without_clusters_it_is_mcnemars_exact_test(lost: int, gained: int) -> None:
    """Scores of 0 and 1 have the p-value of scipy's binomial test of the changed samples."""
    total = lost + gained
    expected = stats.binomtest(lost, total).pvalue if total else 1
    assert sign_test([-1.0] * lost + [1.0] * gained).p == pytest.approx(expected)


def test_p_value_by_random_signs() -> None:
    """Sums without a common denominator: within four standard errors of the enumeration."""
    values = [random.Random(seed).gauss(0.3, 1) for seed in range(10)]  # noqa: S311
    expected = _enumerated(values)
    error = math.sqrt(expected * (1 - expected) / gate.RESAMPLES)
    assert sign_test(values).p == pytest.approx(expected, abs=4 * error)


def test_joint_p_value() -> None:
    """It is that of the largest of both scores and their sum over all sign vectors."""
    tasks = [[-1.0] * 4 + [1.0], [-2.0, -1.0, -1.0, 1.0]]
    tests = [sign_test(task, f"seed {number}") for number, task in enumerate(tasks)]

    def largest(signs: Sequence[int]) -> float:
        terms = zip([x for task in tasks for x in task], signs, strict=True)
        signed = [x * sign for x, sign in terms]
        a, b = sum(signed[:5]) / math.sqrt(5), sum(signed[5:]) / math.sqrt(7)
        return max(abs(a), abs(b), abs(a + b) / math.sqrt(2))

    values = [*map(largest, itertools.product((-1, 1), repeat=9))]
    expected = sum(value >= largest((1,) * 9) - 1e-9 for value in values) / len(values)
    assert joint_test(tests) == pytest.approx(expected, abs=0.02)
    assert joint_test([*tests, sign_test([0.0, 0.0])]) == joint_test(tests)


def test_joint_test_sees_opposite_changes() -> None:
    """A task that loses 30 samples and one that gains 30 do not cancel."""
    assert joint_test([sign_test([-1.0] * 30, "a"), sign_test([1.0] * 30, "b")]) < 0.001


def test_joint_test_finds_a_small_drop_in_many_tasks() -> None:
    """Ten tasks with a p-value of 0.1 each are one with a joint p-value below 0.001."""
    tests = [sign_test([-1.0] * 8 + [1.0] * 3, str(number)) for number in range(10)]
    assert tests[0].p > 0.1
    assert joint_test(tests) < 0.001


@pytest.mark.parametrize("size", [1e-300, 1e-9, 1e-7, 1e98])
def test_tiny_and_huge_changes(size: float) -> None:
    """They have a decision; changes of the size of a rounding error are tested like others."""
    decision = decide({"t": [Pair(0, size * n) for n in range(1, 21)]}, 0.1).tasks["t"]
    assert decision.p == 1 if size < 1e-100 else decision.p < 0.001


def test_rounding_of_a_sum_is_no_change() -> None:
    """0.1 + 0.2 - 0.3 is not 0 in floating point."""
    pairs = [Pair(0, 0.1, "a"), Pair(0, 0.2, "a"), Pair(0.3, 0, "a"), Pair(0, 1, "b")]
    assert group(pairs).sums == (0, 1)


def test_holm() -> None:
    """Adjusted p-values are those of statsmodels."""
    values = [0.03, 0.001, 0.6, 0.02, 0.02]
    assert holm(values) == pytest.approx(multipletests(values, method="holm")[1])


@pytest.mark.parametrize("degrees", [1, 2, 11, 43, 716])
@pytest.mark.parametrize("probability", [0.001, 0.05, 0.5, 0.8, 0.9999])
def test_student_quantile(degrees: int, probability: float) -> None:
    """It is scipy's."""
    expected = stats.t.ppf(probability, degrees)
    assert gate.student_quantile(degrees, probability) == pytest.approx(expected, abs=1e-8)


def test_tabulated_quantiles() -> None:
    """Student's t as in Fisher and Yates, Statistical Tables (1963), table III."""
    table = {(10, 0.95): 1.812, (30, 0.975): 2.042, (1, 0.975): 12.706, (5, 0.995): 4.032}
    for (degrees, probability), value in table.items():
        assert gate.student_quantile(degrees, probability) == pytest.approx(value, abs=5e-4)


@pytest.mark.parametrize(("a", "b"), [(0.5, 10), (3, 700), (717, 1), (200.3, 17.7)])
def test_beta_quantile(a: float, b: float) -> None:
    """It is scipy's."""
    for p in (0.01, 0.05, 0.5, 0.95):
        assert gate.beta_quantile(a, b, p) == pytest.approx(stats.beta.ppf(p, a, b), abs=1e-9)


def test_bound_without_any_change_is_exact() -> None:
    """Of n unchanged samples, none may be lost: a share of 1 - 0.05 ** (1 / n) is excluded."""
    low, high = gate.bounds(group([Pair(1, 1)] * 100), 0.05)
    assert -low == pytest.approx(1 - 0.05 ** (1 / 100)) == high


@pytest.mark.parametrize(
    ("old", "new", "margin", "verdict"),
    [
        ([1] * 200, [1] * 200, 0.02, "passes"),
        ([1] * 100, [1] * 100, 0.02, "undecided"),
        ([1] * 200, [1] * 170 + [0] * 30, 0.02, "worse"),
        ([1] * 200, [1] * 195 + [0] * 5, 0.02, "undecided"),
        ([0] * 200, [1] * 200, 0.0, "passes"),
        ([1] * 5, [0] * 5, 0.02, "undecided"),
        ([0.9] * 50, [0.4, 0.5] * 25, 0.1, "worse"),
        ([0.9, 0.5] * 25, [0.9, 0.51] * 25, 0.1, "passes"),
        ([37.5] * 120, [37.5] * 120, 0.02, "undecided"),
        ([37.5] * 120, [37.5] * 120, 1.5, "passes"),
        ([-1] * 200, [-1] * 200, 0.02, "passes"),
        ([0] * 200, [-1] * 30 + [0] * 170, 0.02, "worse"),
        ([1] * 19, [1] * 19, 0.4, "undecided"),
        ([1] * 20, [1] * 20, 0.4, "passes"),
    ],
)
def test_verdict(old: list[float], new: list[float], margin: float, verdict: str) -> None:
    """The drop is within the margin, beyond it, or neither is shown."""
    assert decide({"t": [*map(Pair, old, new)]}, margin).verdict == verdict


def test_worse_is_by_holms_method() -> None:
    """A drop that one task shows alone is not enough among forty tasks."""
    drop = [Pair(1, 0)] * 8 + [Pair(1, 1)] * 92
    same = [Pair(1, 1)] * 100
    assert decide({"t": drop}, 0.03).verdict == "worse"
    assert decide({"t": drop, **{str(n): same for n in range(39)}}, 0.03).verdict == "undecided"


def test_samples_of_a_cluster_count_less() -> None:
    """Twenty clusters that change as one have wider bounds than their samples would."""
    alone = [Pair(1, float(n % 10 > 0)) for n in range(200)]
    together = [Pair(1, float(n // 10 % 10 > 0), n // 10) for n in range(200)]
    alike = [Pair(1, 1, n // 10) for n in range(200)]
    assert gate.bounds(group(together), 0.05)[0] < gate.bounds(group(alone), 0.05)[0]
    assert gate.bounds(group(alike), 0.05)[0] < -0.1
    assert decide({"t": together}, 0.0).tasks["t"].p > 0.4


def _passing(lost: float, gained: float, bounds: Callable[[int, int], float]) -> float:
    """Return the probability that 120 samples exclude a drop of ``lost - gained``, exactly."""
    total = 0.0
    for losses in range(int(stats.binom.ppf(1 - 1e-9, 120, lost)) + 1):
        most = int(stats.binom.ppf(1 - 1e-9, 120 - losses, gained / (1 - lost)))
        for gains in range(most + 1):
            if bounds(losses, gains) > gained - lost:
                chance = stats.binom.pmf(losses, 120, lost)
                total += chance * stats.binom.pmf(gains, 120 - losses, gained / (1 - lost))
    return total


@pytest.mark.parametrize(("lost", "gained"), [(0.03, 0), (0.042, 0), (0.08, 0.04)])
def test_level_of_passing(lost: float, gained: float) -> None:
    """With a true drop of the margin, 0.5 to 5 % of samples pass: scores of 0 and 1."""

    def low(losses: int, gains: int) -> float:
        sums = (-1.0,) * losses + (1.0,) * gains + (0.0,) * (120 - losses - gains)
        return gate.bounds(gate.Clusters(sums, (1,) * 120, gains, losses, binary=True), 0.05)[0]

    assert 0.005 < _passing(lost, gained, low) < 0.05


@pytest.mark.parametrize(("scale", "jitter"), [(1.0, 0.001), (40.0, 0.0), (40.0, 0.001)])
@pytest.mark.parametrize(
    ("share", "least"), [(0.0222, 0.0), (0.03, 0.005), (0.042, 0.005), (0.1, 0.005)]
)
def test_level_of_passing_with_other_scores(
    share: float, least: float, scale: float, jitter: float
) -> None:
    """Rare losses of all a sample has are not hidden by tiny changes of the others."""

    def low(losses: int, _: int) -> float:
        rest = [Pair(scale, scale + jitter * (-1) ** n) for n in range(120 - losses)]
        return gate.bounds(group([Pair(scale, 0)] * losses + rest), 0.05)[0] / scale

    assert least <= _passing(share, 0, low) < 0.05


@pytest.mark.parametrize(
    ("lost", "verdict"), [([], "passes"), ([0.0] * 100, "passes"), ([1.0] * 2, "undecided")]
)
def test_samples_without_a_new_score_count_as_lost(lost: list[float], verdict: str) -> None:
    """Those that were wrong before have nothing to lose."""
    decision = decide({"t": [Pair(1, 1)] * 200}, 0.02, missing={"t": lost}).tasks["t"]
    assert decision.verdict == verdict
    assert "2 samples without a new score" in decision.reason or verdict == "passes"


@pytest.mark.parametrize(("worst", "verdict"), [(0.0, "passes"), (-1.0, "undecided")])
def test_lost_samples_have_the_worst_score(worst: float, verdict: str) -> None:
    """Scores that were all 0 do not show what is worse."""
    lost = {"t": [0.0] * 200}
    decisions = decide({"t": [Pair(0, 0)] * 200}, 0.02, missing=lost, worst={"t": worst})
    assert decisions.verdict == verdict


def test_a_p_value_is_positive() -> None:
    """The exact one of 400 lost samples is 2 ** -399, of which the distribution keeps nothing."""
    assert sign_test([-1.0] * 400).p == SMALLEST_P
    assert sign_test([-1.0] * 40).p == pytest.approx(2**-39)


def test_one_cluster_with_most_samples_is_one() -> None:
    """2,000 samples of one passage and 30 others show hardly more than one passage."""
    pairs = [Pair(1, 1, 0)] * 2000 + [Pair(1, 1, n) for n in range(1, 31)]
    decision = decide({"t": pairs}, 0.4).tasks["t"]
    assert decision.reason == "31 clusters that count as 1.0, at least 20 needed"
    assert decision.low < -0.5


@pytest.mark.parametrize("level", [0.0, 0.5, 0.7, math.nan])
def test_levels_that_are_none(level: float) -> None:
    """A one-sided level is between 0 and 0.5."""
    with pytest.raises(ValueError, match="level"):
        decide({"t": [Pair(1, 1)] * 20}, 0.1, level)


def test_detectable_change_has_its_power() -> None:
    """The stated change is found in about 80 % of samples."""
    generator = random.Random(3)  # noqa: S311
    smallest = gate.detectable(group([Pair(1, 1)] * 300))
    assert smallest
    found = 0
    for _ in range(100):
        lost = sum(generator.random() < smallest for _ in range(300))
        found += 0.5 ** (lost - 1) < 0.05  # the exact p-value of losses alone
    assert 0.7 < found / 100 <= 0.97


@pytest.mark.parametrize("pairs", [[], [Pair(math.nan, 1.0)], [Pair(1.0, math.inf)]])
def test_unusable_pairs_are_refused(pairs: list[Pair]) -> None:
    """No pairs, and scores that are not finite."""
    with pytest.raises(ValueError, match=r"no pairs|not finite"):
        decide({"t": pairs}, 0.1)


def test_it_needs_the_standard_library_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of the file decides while every third-party package, and this one, is blocked."""
    real = builtins.__import__

    def blocked(name: str, *arguments: object, **options: object) -> object:
        if name.partition(".")[0] not in sys.stdlib_module_names:
            raise AssertionError(f"imports {name}")
        return real(name, *arguments, **options)  # type: ignore[arg-type]

    spec = importlib.util.spec_from_file_location("copied_gate", Path(gate.__file__))
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "copied_gate", module)
    monkeypatch.setattr(builtins, "__import__", blocked)
    spec.loader.exec_module(module)
    decisions = module.decide({"t": [module.Pair(0.3, 0.9)] * 20}, 0.02)
    monkeypatch.undo()
    assert decisions.verdict == "passes"


@pytest.mark.parametrize("total", [40, 149, 400])
def test_margin_p_value_without_a_change(total: int) -> None:
    """The chance that none of n samples shows a loss that a share of the margin has."""
    clusters = group([Pair(1, 1)] * total)
    assert gate.margin_p(clusters, 0.02) == pytest.approx(max(1e-9, 0.98**total), rel=1e-3)


@pytest.mark.parametrize("margin", [0.0, 0.02, 0.05, 0.1, 0.3])
@pytest.mark.parametrize(("size", "missing"), [(1, 0), (1, 5), (4, 0)])
@pytest.mark.parametrize("score", [1.0, 0.7])
def test_margin_p_value_agrees_with_the_verdict(
    margin: float, size: int, missing: int, score: float
) -> None:
    """It is below the level if and only if the task passes, for every kind of bound."""
    for lost in (0, 3, 12):
        pairs = [
            Pair(score, 0.0 if n < lost else score if n % 20 else 1.0, n // size)
            for n in range(240)
        ]
        lacking = {"t": [score] * missing}
        for level in (0.01, 0.05, 0.2):
            task = decide({"t": pairs}, margin, level, missing=lacking).tasks["t"]
            assert (task.verdict == "passes") is (task.margin_p < level)


def test_margin_p_value_is_students() -> None:
    """Scores in any unit: the tail of Student's t at the bound's standard error."""
    rng = random.Random(3)  # noqa: S311
    clusters = group([Pair(10, 10 + rng.gauss(0, 1)) for _ in range(300)])
    p = gate.margin_p(clusters, 0.15)
    assert gate.bounds(clusters, p)[0] == pytest.approx(-0.15, abs=1e-3)
    assert stats.t.sf((clusters.change + 0.15) / clusters.spread, 299) < p
