"""Verdicts on pairs, and departures of measurements from the paper."""

import re
from math import hypot, sqrt
from statistics import NormalDist
from typing import Literal

import numpy as np
import pytest

from benchmark.boxes.baseline import Percentages
from benchmark.errors import SettingError
from benchmark.hypotheses.pair_verdict import (
    departures,
    judge,
    judge_tests,
    published_difference,
    published_model,
)
from benchmark.models.registry import registry
from benchmark.models.registry_types import Pair
from benchmark.records import Outcome
from benchmark.runs.paired_comparison import PairedComparison, compare
from benchmark.runs.run_result import RunResult
from benchmark.stats.constants import fresh_rng
from benchmark.stats.paired import paired_test
from benchmark.stats.summary import Scored
from benchmark.tasks import DEFAULT


def _measured(zero: float, more: float, seed: int = 0, exact: float | None = None) -> RunResult:
    """Return 700 states of 350 sequences with these accuracies at numops 0 and >= 1.

    ``exact`` is the accuracy by ``exact`` at numops >= 1, if it differs from the one by ``set``.
    """
    scores = {
        "set": Scored.of(_outcomes(zero, more, seed)),
        "exact": Scored.of(_outcomes(zero, more if exact is None else exact, seed)),
    }
    chance: Percentages = {"overall": None, "nontrivial": None, "by_numops": {}}
    return RunResult((), scores, {"set": chance}, {}, {})


def _outcomes(zero: float, more: float, seed: int) -> tuple[Outcome, ...]:
    right = np.random.default_rng(seed).random((700, 7)) < np.array([zero] * 2 + [more] * 5)
    return tuple(
        Outcome(n // 2, (0, 0, 1, 1, 2, 3, 4), tuple(map(bool, row))) for n, row in enumerate(right)
    )


def _comparison(before: float, after: float) -> PairedComparison:
    return compare(_measured(0.9, before, 1), _measured(0.9, after, 2))


def _pair(hypothesis: Literal["gain", "no gain", "as published"]) -> Pair:
    return registry().pair("math-mistral-7b").model_copy(update={"hypothesis": hypothesis})


def test_another_task_is_not_compared_with_the_paper() -> None:
    """On another task, a comparison with the paper is refused and a gain is judged."""
    base, variant = (_measured(0.9, more, seed) for more, seed in ((0.3, 1), (0.4, 2)))
    tests = compare(base, variant).tests
    assert judge(_pair("gain"), tests, "move-contents").holds
    with pytest.raises(SettingError, match="of the task boxes and not of move-contents"):
        judge(_pair("as published"), tests, "move-contents")
    published = published_model("llama2-7b")
    assert published
    assert departures(published, variant.scores, DEFAULT)
    assert not departures(published, variant.scores, "move-contents")


@pytest.mark.parametrize(
    ("hypothesis", "before", "after", "status"),
    [
        ("gain", 0.3, 0.4, "supported"),
        ("gain", 0.3, 0.3, "undecided"),
        ("gain", 0.4, 0.3, "not supported"),
        ("no gain", 0.3, 0.4, "not supported"),
        ("no gain", 0.3, 0.3, "not contradicted"),
        ("no gain", 0.4, 0.3, "not contradicted"),
        ("as published", 0.28, 0.20, "supported"),  # the paper: 27.99 -> 19.74
        ("as published", 0.28, 0.24, "undecided"),
        ("as published", 0.28, 0.28, "not supported"),
        ("as published", 0.28, 0.40, "not supported"),
    ],
)
def test_hypotheses(
    hypothesis: Literal["gain", "no gain", "as published"],
    before: float,
    after: float,
    status: str,
) -> None:
    """A gain must be significant, or excluded; a published one equal within a margin."""
    verdict = judge(_pair(hypothesis), _comparison(before, after).tests, DEFAULT)
    assert verdict.status == status
    assert "points" in verdict.figures
    assert verdict.words == f"{status}: {verdict.reason}; {verdict.figures}"
    equal = hypothesis == "as published" and status == "supported"
    found_none = equal or status in {"not contradicted", "undecided"}
    assert equal is ("equals the published difference within 5 points" in verdict.reason)
    assert verdict.decision
    claims = {"gain": {"gain"}, "no gain": {"gain"}, "as published": {"difference", "equivalence"}}
    assert verdict.decision.claim in claims[hypothesis]
    assert ("would be found (power 80 %)" in verdict.reason) is found_none


def test_the_power_is_in_the_verdict() -> None:
    """A verdict that rests on no difference says which difference would have been found."""
    verdict = judge(_pair("as published"), _comparison(0.28, 0.20).tests, DEFAULT)
    match = re.search(r"a departure of ([0-9.]+) points would be found", verdict.reason)
    assert match
    published = published_difference(_pair("as published"))
    error = hypot(published.error, sqrt(2 * 0.25 * 0.75 / (700 * 5)))
    z = NormalDist()
    expected = 100 * error * (z.inv_cdf(1 - 0.001 / 2) + z.inv_cdf(0.8))
    assert float(match[1]) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(
    ("hypothesis", "sequences", "reason"),
    [
        ("gain", 4, "4 sequences, at least 5 needed"),
        ("no gain", 4, "4 sequences, at least 5 needed"),
        ("as published", 19, "19 sequences, at least 20 needed"),
    ],
)
def test_few_sequences_are_undecided(
    hypothesis: Literal["gain", "no gain", "as published"], sequences: int, reason: str
) -> None:
    """With too few sequences a pair is neither supported nor refuted, and has no interval."""
    wrong, right = (
        [Outcome(n, (1,) * 7, (correct,) * 7) for n in range(sequences)]
        for correct in (False, True)
    )
    test = paired_test(wrong, right, fresh_rng())
    verdict = judge_tests(_pair(hypothesis), {"set": test, "exact": test})
    assert (verdict.status, verdict.reason, verdict.holds) == ("undecided", reason, None)
    assert "+100.0 points (no interval: " in verdict.figures


@pytest.mark.parametrize(("states", "warns"), [(1, True), (63, True), (64, False)])
def test_few_states_are_a_warning(states: int, *, warns: bool) -> None:
    """Below 64 states the line of the verdict warns; the verdict is the same."""
    outcomes = [Outcome(n, (1,) * 7, (True,) * 7) for n in range(states)]
    test = paired_test(outcomes, outcomes, fresh_rng())
    verdict = judge_tests(_pair("gain"), {"set": test})
    assert verdict.status == "undecided"
    assert bool(verdict.warning) is warns
    assert verdict.words.endswith("only large effects; measure 64 or more") is warns
    assert verdict.words.startswith(f"undecided: {verdict.reason}; {verdict.figures}")


@pytest.mark.parametrize(
    ("gained", "lost", "status", "reason"),
    [
        (0, 0, "undecided", "none excluded (no interval: all sequences differ alike)"),
        (4, 6, "undecided", r"none excluded (-"),
        (6, 5, "undecided", r"none excluded (-"),
        (2, 20, "not supported", "a loss beyond clustered error"),
        (20, 2, "supported", "a gain beyond clustered error"),
    ],
)
def test_a_gain_is_refuted_only_if_it_is_excluded(
    gained: int, lost: int, status: str, reason: str
) -> None:
    """Of 40 sequences some gain and some lose a query: what the interval leaves open is undecided.

    The status agrees with the interval that is printed next to it.
    """
    base, variant = (
        [Outcome(n, (1,) * 7, (n in right, *(True,) * 6)) for n in range(40)]
        for right in (range(gained, gained + lost), range(gained))
    )
    test = paired_test(base, variant, fresh_rng())
    verdict = judge_tests(_pair("gain"), {"set": test})
    assert (verdict.status, verdict.holds) == (
        status,
        {"undecided": None, "supported": True, "not supported": False}[status],
    )
    assert reason in verdict.reason
    if test.interval:
        assert (test.interval.high <= 0) is (status == "not supported")
        assert (test.interval.low > 0) is (status == "supported")


def test_few_sequences_that_all_lose_exclude_a_gain() -> None:
    """With 8 sequences there is no interval, and the exact test decides."""
    wrong, right = (
        [Outcome(n, (1,) * 7, (correct,) * 7) for n in range(8)] for correct in (False, True)
    )
    verdict = judge_tests(_pair("gain"), {"set": paired_test(right, wrong, fresh_rng())})
    assert (verdict.status, verdict.reason) == ("not supported", "a loss beyond clustered error")
    verdict = judge_tests(_pair("gain"), {"set": paired_test(wrong, wrong, fresh_rng())})
    assert verdict.status == "undecided"


def test_few_sequences_that_differ_do_not_contradict_the_paper() -> None:
    """If only one of 30 sequences changes, a departure from the paper is undecided."""
    wrong = [Outcome(n, (1,) * 7, (False,) * 7) for n in range(30)]
    one = [Outcome(n, (1,) * 7, (n == 0,) * 7) for n in range(30)]
    test = paired_test(wrong, one, fresh_rng())
    verdict = judge_tests(_pair("as published"), {"exact": test})
    assert verdict.status == "undecided"
    assert verdict.reason == "1 of 30 sequences differ from the rest, at least 15 needed"


@pytest.mark.parametrize(
    ("hypothesis", "score", "holds"),
    [("gain", "set", False), ("no gain", "set", True), ("as published", "exact", False)],
)
def test_if_the_scores_differ_both_verdicts_are_shown(
    hypothesis: Literal["gain", "no gain", "as published"],
    score: str,
    holds: bool,  # noqa: FBT001
) -> None:
    """Gains are judged by set, published figures by exact; the other verdict is shown.

    By ``set`` the variant loses as the paper says (27.99 -> 19.74), by ``exact`` it gains.
    """
    comparison = compare(_measured(0.9, 0.28, 1, exact=0.28), _measured(0.9, 0.2, 2, exact=0.4))
    verdict = judge(_pair(hypothesis), comparison.tests, DEFAULT)
    assert (verdict.score, verdict.holds) == (score, holds)
    assert verdict.other is not None
    other_score = "exact" if score == "set" else "set"
    assert (verdict.other.score, verdict.other.holds) == (other_score, not holds)
    own, other = verdict.figures.split(f"; {verdict.other.status} ")
    assert own.startswith(f"by {score}: ")
    assert other == verdict.other.figures
    assert other.startswith(f"by {other_score}: ")


def test_without_exact_the_comparison_is_by_set() -> None:
    """Results with set only are compared with the paper by set, and say so."""
    comparison = compare(_measured(0.9, 0.28, 1), _measured(0.9, 0.2, 2))
    verdict = judge_tests(_pair("as published"), {"set": comparison.nontrivial})
    assert (verdict.score, verdict.holds, verdict.other) == ("set", True, None)
    assert verdict.figures.startswith("by set: ")


def test_published_difference_is_the_one_of_table_3() -> None:
    """Llama 7B and FLoat at numops >= 1 have 4.34 and 5.85 (Table 3)."""
    difference = published_difference(registry().pair("math-llama-7b"))
    assert 100 * difference.difference == pytest.approx(5.85 - 4.34, abs=0.01)


def test_departures_from_the_paper() -> None:
    """Mistral measured as published has no departure; ten points more at numops >= 1 is one.

    The ``set`` score does not matter.
    """
    model = published_model("mistral-7b")
    assert model is not None
    at_zero = model.by_numops[0].accuracy
    assert departures(model, _measured(at_zero, 0.38, exact=0.28).scores, DEFAULT) == []
    (problem,) = departures(model, _measured(at_zero, 0.38).scores, DEFAULT)
    assert problem.startswith("Mistral")
    assert "numops >= 1 by exact: 3" in problem
    assert "published 28.0" in problem
    assert len(departures(model, _measured(at_zero - 0.2, 0.38).scores, DEFAULT)) == 2


def test_level_of_the_comparison_with_the_paper() -> None:
    """Of 100 faithful reproductions, at most 2 depart (level 0.001, two figures each)."""
    model = published_model("mistral-7b")
    assert model is not None
    rng = np.random.default_rng(5)
    totals = {n: tally.total for n, tally in model.by_numops.items()}
    alarms = 0
    for _ in range(100):
        outcomes: list[Outcome] = []
        for numops, total in totals.items():
            accuracy = model.by_numops[numops].accuracy
            for _ in range(total // 7):
                rate = rng.beta(6 * accuracy + 1e-9, 6 * (1 - accuracy) + 1e-9)
                right = tuple((rng.random(7) < rate).tolist())
                outcomes.append(Outcome(len(outcomes), (numops,) * 7, right))
        alarms += bool(departures(model, {"exact": Scored.of(outcomes)}, DEFAULT))
    assert alarms <= 2


def test_published_rows_are_found_by_key() -> None:
    """Rows are found by key, even for models that are only in the authors' data."""
    gemma, olmo = published_model("gemma-7b-instruct"), published_model("olmo-1b")
    assert gemma is not None
    assert (gemma.source, gemma.by_numops[1].correct) == ("paper", 789)
    assert olmo is not None
    assert (olmo.source, olmo.by_numops[1].correct) == ("authors", 0)
    assert published_model("codegemma-2b") is None
