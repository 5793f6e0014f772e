"""What results say of differences, against naive recomputations."""

import csv
from collections.abc import Sequence
from dataclasses import replace
from math import sqrt
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

from benchmark.hypotheses.claims import audit
from benchmark.hypotheses.evidence import SEED, Evidence
from benchmark.hypotheses.results import (
    ALL,
    NONTRIVIAL,
    EvaluationSetting,
    Result,
    Results,
    above,
    exactly,
    published_results,
)
from benchmark.models.published import published
from benchmark.models.registry import registry
from benchmark.records import Outcome
from benchmark.scoring.counts import count
from benchmark.stats.paired import paired_test
from benchmark.stats.published import unpaired_test

NUMOPS = (0, 0, 1, 2, 3, 1, 7)
TABLE = Path(__file__).parents[3] / "fixtures" / "published" / "table6.csv"


def _rng() -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(SEED))


def _measured(model: str, rate: float, seed: int, data: str = "a", **setting: str) -> Result:
    """A made-up measurement of 100 states, two a sequence."""
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


def test_same_data_are_compared_by_query() -> None:
    """Two measurements of the same data are compared by the paired test, clustered."""
    base, variant = _measured("llama2-7b", 0.3, 1), _measured("codellama-7b", 0.5, 2)
    assert base.outcomes
    assert variant.outcomes
    found = Evidence(Results((base, variant))).of_pair("code-llama2-7b")
    test = paired_test(base.outcomes, variant.outcomes, _rng())
    assert found is not None
    assert (found.how, found.p) == ("paired", test.two_sided)
    assert found.points == pytest.approx(100 * test.difference)
    assert (found.low, found.high) == pytest.approx(tuple(100 * end for end in test.interval))


def test_other_data_are_compared_by_counts() -> None:
    """Measurements of different data are never paired."""
    base, variant = _measured("llama2-7b", 0.3, 1), _measured("codellama-7b", 0.5, 2, "b")
    found = Evidence(Results((base, variant))).of_pair("code-llama2-7b")
    test = unpaired_test(base.tally(NONTRIVIAL), variant.tally(NONTRIVIAL))
    assert found is not None
    assert (found.how, found.p) == ("counts", test.two_sided)
    assert found.high - found.points == pytest.approx(196 * test.error, rel=1e-3)


def test_a_numops_that_nobody_asked_is_missing() -> None:
    """Without a query there is no difference, and nothing to hold against random."""
    evidence = Evidence(
        Results((_measured("llama2-7b", 0.3, 1), _measured("codellama-7b", 0.5, 2)))
    )
    assert evidence.of_pair("code-llama2-7b", exactly(7)) is not None
    assert evidence.of_pair("code-llama2-7b", exactly(6)) is None
    result = evidence.results.of("llama2-7b")
    assert evidence.against_chance(result, exactly(6)) is None
    assert evidence.against_rate(result, exactly(6), 0.5) is None
    assert evidence.against_chance(None, NONTRIVIAL) is None


def test_different_scores_are_not_compared() -> None:
    """A result by exact and one by set make no difference, and are not in the family of a pair."""
    base, variant = _measured("llama2-7b", 0.3, 1), _measured("codellama-7b", 0.5, 2)
    more = (
        _measured("gemma-7b", 0.3, 3),
        replace(_measured("codegemma-7b", 0.3, 4), score="exact"),
    )
    evidence = Evidence(Results((base, variant, *more)))
    assert evidence.of_pair("code-gemma-7b") is None
    found = evidence.of_pair("code-llama2-7b")
    assert found is not None
    assert evidence.adjusted("code-llama2-7b") == found.p


def test_against_random_by_sequence_or_by_counts() -> None:
    """Measured outcomes are clustered; of counts alone the stated design effect is taken."""
    result = _measured("llama2-7b", 0.3, 1)
    known = Evidence(Results((result,))).against_chance(result, above(2))
    counts = replace(result, outcomes=None)
    unknown = Evidence(Results((counts,))).against_chance(counts, above(2))
    assert known is not None
    assert unknown is not None
    assert (known.how, unknown.how) == ("clustered", "counts")
    assert known.before == unknown.before == pytest.approx(20)
    tally = result.tally(above(2))
    assert known.after == unknown.after == pytest.approx(100 * tally.accuracy)
    score = (tally.accuracy - 0.2) / sqrt(2 * 0.2 * 0.8 / tally.total)
    assert unknown.p == pytest.approx(2 * NormalDist().cdf(-abs(score)))


@pytest.mark.parametrize("data", ["a", "b"])
def test_a_difference_of_gains(data: str) -> None:
    """Gains of two pairs are held against each other, by query where all four share the data."""
    four = [
        _measured("llama2-7b", 0.2, 1),
        _measured("llama2-7b-chat", 0.6, 2),
        _measured("llama2-13b", 0.3, 3),
        _measured("llama2-13b-chat", 0.4, 4, data),
    ]
    evidence = Evidence(Results(tuple(four)))
    gains = [[(1, four[n + 1], NONTRIVIAL), (-1, four[n], NONTRIVIAL)] for n in (0, 2)]
    found = evidence.combined(minus=gains[1], plus=gains[0])
    assert found is not None
    accuracies = [result.tally(NONTRIVIAL).accuracy for result in four]
    assert found.after == pytest.approx(100 * (accuracies[1] - accuracies[0]))
    assert found.before == pytest.approx(100 * (accuracies[3] - accuracies[2]))
    assert found.how == ("paired" if data == "a" else "counts")
    assert found.low < found.points < found.high
    assert found.p < 0.05


def test_where_a_model_is_measured_twice_the_common_data_count() -> None:
    """Of several data sets that of most models is taken; a format is judged on the other."""
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
    found = results.of("llama2-7b-chat")
    assert found is not None
    assert found.data == "test"
    both = results.both_formats("llama2-7b-chat")
    assert both is not None
    assert [(r.data, r.setting.prompt_format) for r in both] == [
        ("dev", "completion"),
        ("dev", "chat"),
    ]


def _holm(p_values: Sequence[float]) -> list[float]:
    """Holm's method as it is told: the smallest times n, the next times n - 1, never falling."""
    adjusted: dict[int, float] = {}
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return [adjusted[index] for index in range(len(p_values))]


@pytest.mark.parametrize("experiment", ["code", "math", "alignment"])
def test_the_published_pairs_by_hand(experiment: str) -> None:
    """Differences, p-values and Holm's corrections of Table 6 follow from what it prints.

    The printed accuracies have two decimals, so they give the counts back.
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
        found = evidence.of_pair(pair_id)
        assert found is not None
        assert (found.points, found.p) == pytest.approx((points, p), rel=1e-6)
        assert evidence.adjusted(pair_id) == pytest.approx(holm, rel=1e-6)
        assert found.how == "counts"


def test_the_family_is_what_was_measured() -> None:
    """A pair alone is not corrected; a pair of another experiment corrects nothing."""
    pair = (_measured("llama2-7b", 0.3, 1), _measured("codellama-7b", 0.33, 2))
    alone = Evidence(Results(pair))
    found = alone.of_pair("code-llama2-7b")
    assert found is not None
    assert alone.adjusted("code-llama2-7b") == pytest.approx(found.p)
    more = (*pair, _measured("llama-7b", 0.3, 3), _measured("float-7b", 0.3, 4))
    assert Evidence(Results(more)).adjusted("code-llama2-7b") == pytest.approx(found.p)
    two = (*pair, _measured("gemma-7b", 0.3, 3), _measured("codegemma-7b", 0.3, 4))
    assert Evidence(Results(two)).adjusted("code-llama2-7b") > found.p


def test_measured_outcomes_decide_every_claim() -> None:
    """On outcomes of all models each verdict is the same in the other order of the models."""
    models = [model for model in registry().models.values() if model.paper]
    entries = tuple(_measured(m.key, 0.3 + n / 100, n) for n, m in enumerate(models))
    first = [judged.as_json() for judged in audit(Results(entries))]
    assert [judged.as_json() for judged in audit(Results(entries[::-1]))] == first
    undecided = {judged["id"] for judged in first if judged["verdict"] == "not decidable"}
    assert undecided == {"D1", "D2", "F1"}  # they need runs in another setting


def test_the_quoted_figure_is_of_all_queries_alone() -> None:
    """What the text quotes is known over all queries, and nowhere else."""
    results = published_results(published().values())
    free = results.of("llama2-70b", EvaluationSetting("unconstrained", "completion"))
    assert free is not None
    assert free.tally(ALL).total == 5012
    assert free.tally(NONTRIVIAL).total == 0
    assert free.chance_on(ALL) is None
    found = Evidence(results).between(free, results.of("llama2-70b"), ALL)
    assert found is not None
    assert (round(found.before, 2), round(found.after, 2)) == (54.95, 62.13)
