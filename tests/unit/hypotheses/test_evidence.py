"""Tests of differences, compared with naive recomputations."""

import csv
from collections.abc import Sequence
from dataclasses import replace
from math import sqrt
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

from benchmark.hypotheses.claims import audit
from benchmark.hypotheses.evidence import Evidence
from benchmark.hypotheses.results import (
    ALL,
    NONTRIVIAL,
    EvaluationSetting,
    Result,
    Results,
    numops_above,
    numops_equal,
    published_results,
)
from benchmark.models.published import published
from benchmark.models.registry import registry
from benchmark.records import Outcome
from benchmark.scoring.counts import count
from benchmark.stats.constants import fresh_rng
from benchmark.stats.paired import paired_test
from benchmark.stats.published import unpaired_test

NUMOPS = (0, 0, 1, 2, 3, 1, 7)
TABLE = Path(__file__).parents[3] / "fixtures" / "published" / "table6.csv"


def _measured(model: str, rate: float, seed: int, data: str = "a", **setting: str) -> Result:
    """Return a synthetic measurement of 100 states, two per sequence."""
    right = np.random.default_rng(seed).random((100, 7)) < rate
    outcomes = tuple(Outcome(n // 2, NUMOPS, tuple(map(bool, row))) for n, row in enumerate(right))
    own = EvaluationSetting("constrained", registry().model(model).format)
    return Result(
        model=model,
        setting=own._replace(**setting),  # type: ignore[arg-type]
        by_numops=count(outcomes).by_numops,
        chance=dict.fromkeys(range(8), 0.2),
        data=data,
        source=f"{model} {data}",
        outcomes=outcomes,
    )


def test_results_on_the_same_data_are_paired() -> None:
    """Two measurements of the same data are compared by the paired test, clustered."""
    base, variant = _measured("llama2-7b", 0.3, 1), _measured("codellama-7b", 0.5, 2)
    assert base.outcomes
    assert variant.outcomes
    difference = Evidence(Results((base, variant))).pair_difference("code-llama2-7b")
    test = paired_test(base.outcomes, variant.outcomes, fresh_rng())
    assert difference is not None
    assert (difference.test, difference.p) == ("paired", test.two_sided)
    assert difference.points == pytest.approx(100 * test.difference)
    assert difference.interval
    assert test.interval
    assert difference.interval == pytest.approx([100 * end for end in test.interval])


def test_results_on_different_data_are_compared_by_counts() -> None:
    """Measurements of different data are never paired."""
    base, variant = _measured("llama2-7b", 0.3, 1), _measured("codellama-7b", 0.5, 2, "b")
    difference = Evidence(Results((base, variant))).pair_difference("code-llama2-7b")
    test = unpaired_test(base.tally(NONTRIVIAL), variant.tally(NONTRIVIAL))
    assert difference is not None
    assert (difference.test, difference.p) == ("counts", test.two_sided)
    assert difference.interval
    assert difference.interval.high - difference.points == pytest.approx(196 * test.error, rel=1e-3)


def test_a_numops_without_queries_is_missing() -> None:
    """Without queries there is no difference and no comparison with random."""
    evidence = Evidence(
        Results((_measured("llama2-7b", 0.3, 1), _measured("codellama-7b", 0.5, 2)))
    )
    assert evidence.pair_difference("code-llama2-7b", numops_equal(7)) is not None
    assert evidence.pair_difference("code-llama2-7b", numops_equal(6)) is None
    result = evidence.results.of("llama2-7b")
    assert evidence.against_random(result, numops_equal(6)) is None
    assert evidence.against_rate(result, numops_equal(6), 0.5) is None
    assert evidence.against_random(None, NONTRIVIAL) is None


def test_different_scores_are_not_compared() -> None:
    """Results by exact and by set are not compared, and not in the family of a pair."""
    base, variant = _measured("llama2-7b", 0.3, 1), _measured("codellama-7b", 0.5, 2)
    more = (
        _measured("gemma-7b", 0.3, 3),
        replace(_measured("codegemma-7b", 0.3, 4), score="exact"),
    )
    evidence = Evidence(Results((base, variant, *more)))
    assert evidence.pair_difference("code-gemma-7b") is None
    difference = evidence.pair_difference("code-llama2-7b")
    assert difference is not None
    assert evidence.adjusted_p("code-llama2-7b") == difference.p


def test_against_random_by_sequence_or_by_counts() -> None:
    """Outcomes are clustered by sequence; counts use the stated design effect."""
    result = _measured("llama2-7b", 0.3, 1)
    clustered = Evidence(Results((result,))).against_random(result, numops_above(2))
    counts = replace(result, outcomes=None)
    counted = Evidence(Results((counts,))).against_random(counts, numops_above(2))
    assert clustered is not None
    assert counted is not None
    assert (clustered.test, counted.test) == ("clustered", "counts")
    assert clustered.before == counted.before == pytest.approx(20)
    tally = result.tally(numops_above(2))
    assert clustered.after == counted.after == pytest.approx(100 * tally.accuracy)
    score = (tally.accuracy - 0.2) / sqrt(2 * 0.2 * 0.8 / tally.total)
    assert counted.p == pytest.approx(2 * NormalDist().cdf(-abs(score)))


@pytest.mark.parametrize("data", ["a", "b"])
def test_a_difference_of_gains(data: str) -> None:
    """Gains of two pairs are compared by query if all four results are on the same data."""
    four = [
        _measured("llama2-7b", 0.2, 1),
        _measured("llama2-7b-chat", 0.6, 2),
        _measured("llama2-13b", 0.3, 3),
        _measured("llama2-13b-chat", 0.4, 4, data),
    ]
    evidence = Evidence(Results(tuple(four)))
    gains = [[(1, four[n + 1], NONTRIVIAL), (-1, four[n], NONTRIVIAL)] for n in (0, 2)]
    difference = evidence.contrast(minus=gains[1], plus=gains[0])
    assert difference is not None
    accuracies = [result.tally(NONTRIVIAL).accuracy for result in four]
    assert difference.after == pytest.approx(100 * (accuracies[1] - accuracies[0]))
    assert difference.before == pytest.approx(100 * (accuracies[3] - accuracies[2]))
    assert difference.test == ("paired" if data == "a" else "counts")
    assert difference.interval
    assert difference.interval.low < difference.points < difference.interval.high
    assert difference.p < 0.05


def test_of_several_data_sets_the_common_one_counts() -> None:
    """The data set of most models counts; a prompt format is judged on the other one."""
    chat, completion = {"prompt_format": "chat"}, {"prompt_format": "completion"}
    results = Results(
        (
            _measured("llama2-7b-chat", 0.1, 1, "dev", **chat),
            _measured("llama2-7b-chat", 0.1, 2, "dev", **completion),
            _measured("llama2-7b-chat", 0.1, 3, "test", **chat),
            _measured("llama2-7b-chat", 0.1, 4, "test", **completion),
            _measured("llama2-7b", 0.1, 5, "test"),
        )
    )
    assert results.data_sets() == ["test", "dev"]
    common = results.of("llama2-7b-chat")
    assert common is not None
    assert common.data == "test"
    both = results.both_formats("llama2-7b-chat")
    assert both is not None
    assert [(r.data, r.setting.prompt_format) for r in both] == [
        ("dev", "completion"),
        ("dev", "chat"),
    ]


def _holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjustment: the smallest times n, the next times n - 1, never falling."""
    adjusted: dict[int, float] = {}
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return [adjusted[index] for index in range(len(p_values))]


@pytest.mark.parametrize("experiment", ["code", "math", "alignment"])
def test_published_pairs_by_hand(experiment: str) -> None:
    """Differences, p-values and Holm's corrections follow from the printed Table 6.

    The printed accuracies have two decimals, which determines the counts.
    """
    with TABLE.open(encoding="utf-8", newline="") as file:
        instances, _, *rows = csv.DictReader(file)
    totals = [int(instances[f"ops{n}"]) for n in range(1, 8)]
    correct = {
        row["model"]: sum(
            round(float(row[f"ops{n}"]) * total / 100) for n, total in enumerate(totals, start=1)
        )
        for row in rows
    }
    pairs = [p for p in registry().pairs.values() if p.paper and p.experiment == experiment]
    total, expected = sum(totals), {}
    for pair in pairs:
        base, variant = (correct[registry().model(key).name] for key in (pair.base, pair.variant))
        pooled = (base + variant) / (2 * total)
        error = sqrt(2.0 * pooled * (1 - pooled) * 2 / total)  # design effect 2
        difference = (variant - base) / total
        expected[pair.id] = (100 * difference, 2 * NormalDist().cdf(-abs(difference) / error))
    adjusted = _holm([p for _, p in expected.values()])
    evidence = Evidence(published_results(published().values()))
    for (pair_id, (points, p)), holm in zip(expected.items(), adjusted, strict=True):
        tested = evidence.pair_difference(pair_id)
        assert tested is not None
        assert (tested.points, tested.p) == pytest.approx((points, p), rel=1e-6)
        assert evidence.adjusted_p(pair_id) == pytest.approx(holm, rel=1e-6)
        assert tested.test == "counts"


def test_the_family_is_the_measured_pairs_of_the_experiment() -> None:
    """A single pair is not corrected, and pairs of other experiments do not count."""
    pair = (_measured("llama2-7b", 0.3, 1), _measured("codellama-7b", 0.33, 2))
    alone = Evidence(Results(pair))
    tested = alone.pair_difference("code-llama2-7b")
    assert tested is not None
    assert alone.adjusted_p("code-llama2-7b") == pytest.approx(tested.p)
    more = (*pair, _measured("llama-7b", 0.3, 3), _measured("float-7b", 0.3, 4))
    assert Evidence(Results(more)).adjusted_p("code-llama2-7b") == pytest.approx(tested.p)
    two = (*pair, _measured("gemma-7b", 0.3, 3), _measured("codegemma-7b", 0.3, 4))
    assert Evidence(Results(two)).adjusted_p("code-llama2-7b") > tested.p


def test_measured_outcomes_decide_every_claim() -> None:
    """On outcomes of all models, each verdict is the same in reverse order of the models."""
    models = [model for model in registry().models.values() if model.paper]
    entries = tuple(_measured(m.key, 0.3 + n / 100, n) for n, m in enumerate(models))
    first = [judged.as_json() for judged in audit(Results(entries))]
    assert [judged.as_json() for judged in audit(Results(entries[::-1]))] == first
    missing = {judged["id"] for judged in first if judged["missing"]}
    # C2 requires numops 4 to 6, the others runs in another setting.
    assert missing == {"C2", "D1", "D2", "F1"}


def test_few_sequences_are_never_sure() -> None:
    """Below 20 sequences neither a contrast nor a test against a rate decides."""
    outcomes = [Outcome(n, NUMOPS, (True,) * 7) for n in range(19)]
    result = replace(_measured("llama2-7b", 0.3, 1), outcomes=tuple(outcomes))
    evidence = Evidence(Results((result,)))
    few = evidence.against_rate(result, NONTRIVIAL, 0.2)
    assert few is not None
    assert few.p < 1e-6
    assert few.decision.verdict == "undecided"
    assert few.decision.doubt == "19 sequences, at least 20 needed"
    counts = evidence.difference(result, replace(result, data="b"), NONTRIVIAL)
    assert counts is not None
    assert counts.decision.doubt == few.decision.doubt


def test_one_state_with_equal_outcomes_supports_nothing() -> None:
    """M6 (close to each other) is undecided on one state that both models answer alike."""
    state = (Outcome(1, NUMOPS, (True,) * 7),)
    pair = tuple(
        replace(
            _measured(model, 0.3, 1),
            outcomes=state,
            by_numops=count(state).by_numops,
            others={},
        )
        for model in ("deepseek-coder-7b", "deepseek-math-7b")
    )
    (m6,) = (judged.verdict for judged in audit(Results(pair)) if judged.claim.id == "M6")
    assert (m6.status, m6.in_figures) == ("undecided", "supported")
    assert m6.open_questions == ["no interval: 1 sequence, at least 12 needed"]


def test_the_quoted_figure_is_known_for_all_queries_only() -> None:
    """The quoted figure is known over all queries, and for no group of them."""
    results = published_results(published().values())
    free = results.of("llama2-70b", EvaluationSetting("unconstrained", "completion"))
    assert free is not None
    assert free.tally(ALL).total == 5012
    assert free.tally(NONTRIVIAL).total == 0
    assert free.chance_on(ALL) is None
    difference = Evidence(results).difference(free, results.of("llama2-70b"), ALL)
    assert difference is not None
    assert (round(difference.before, 2), round(difference.after, 2)) == (54.95, 62.13)
