"""The joint test of several models, compared with enumeration of signs and closed testing."""

from collections.abc import Sequence
from itertools import combinations, product
from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.records import Outcome
from benchmark.stats.constants import LEVEL, fresh_rng
from benchmark.stats.differences import clustered_difference
from benchmark.stats.joint import TOGETHER, PairedOutcomes, joint_test, max_t

ROWS = st.lists(st.lists(st.integers(-3, 3), min_size=6, max_size=6), min_size=1, max_size=3)


def _score(row: Sequence[int], signs: Sequence[int]) -> float:
    scale = sqrt(sum(value**2 for value in row))
    return abs(sum(s * v for s, v in zip(signs, row, strict=True))) / scale if scale else 0.0


def _closed(rows: list[list[int]]) -> list[float]:
    """Return the adjusted p-values by testing every subset of rows with all 64 sign vectors."""
    signs = list(product((1, -1), repeat=6))

    def subset_p(subset: tuple[int, ...]) -> float:
        observed = max(_score(rows[n], (1,) * 6) for n in subset)
        return float(
            np.mean([max(_score(rows[n], s) for n in subset) >= observed - 1e-9 for s in signs])
        )

    subsets = [c for size in range(1, len(rows) + 1) for c in combinations(range(len(rows)), size)]
    p_values = {subset: subset_p(subset) for subset in subsets}
    return [max(p for s, p in p_values.items() if n in s) for n in range(len(rows))]


@settings(max_examples=15)
@given(ROWS)
def test_stepping_down_is_the_closed_test(rows: list[list[int]]) -> None:
    """With random signs the adjusted p-values are those of the enumerated closed test."""
    ours = max_t(np.array(rows, float), np.random.default_rng(0), 3000)
    assert ours == pytest.approx(_closed(rows), abs=0.05)


def _model(changed: Sequence[int], *, gained: bool = False, states: int = 80) -> PairedOutcomes:
    """Return outcomes in which a query of some states changes."""
    same = [Outcome(n, (1,) * 7, (True,) * 7) for n in range(states)]
    other = [Outcome(n, (1,) * 7, (n not in changed, *(True,) * 6)) for n in range(states)]
    return (other, same) if gained else (same, other)


def test_one_p_and_the_model_that_carries_it() -> None:
    """Of three models one lost a query in 12 states; the others have as many gains as losses."""
    both = [_model(range(4)), _model(range(4, 8), gained=True)]
    mixed = tuple([*first[:40], *second[40:]] for first, second in zip(*both, strict=True))
    models = {"a": _model(range(12)), "b": (mixed[0], mixed[1]), "c": _model(())}
    joint = joint_test(models, fresh_rng())
    assert joint.adjusted.keys() == {"a", "b", "c", TOGETHER}
    assert joint.p == joint.adjusted["a"] < 0.005
    verdicts = {name: decision.verdict for name, decision in joint.differs().items()}
    assert verdicts == {"a": "supported", "b": "undecided", "c": "undecided"}
    assert joint.adjusted["c"] == 1.0


def test_small_changes_of_all_models_show_together() -> None:
    """Three models that lose four queries each, in other states, are significant only together."""
    models = {str(n): _model(range(5 * n, 5 * n + 5)) for n in range(3)}
    joint = joint_test(models, fresh_rng())
    assert joint.p == joint.adjusted[TOGETHER] < 0.01
    assert min(joint.adjusted[name] for name in models) > 0.05


def test_what_the_mean_of_the_models_could_have_seen() -> None:
    """Of three models that change in few queries, 80 % of samples show the detectable change.

    It is added to each model by queries that are lost in one model at a time.
    """
    rng = np.random.default_rng(3)
    states, models, found = 120, 3, 0
    sizes = np.full(states, 7 * models)
    noise = [rng.random((models, states, 7)) < 0.02 for _ in range(2)]
    changes = (noise[0].astype(int) - noise[1]).sum(axis=(0, 2))
    seen = clustered_difference(changes, sizes, changed=int(sum(n.sum() for n in noise)))
    share = seen.detectable(LEVEL / 2)
    assert share is not None
    for _ in range(200):
        drawn = [rng.random((models, states, 7)) < rate for rate in (0.02 + share, 0.02)]
        rows = (drawn[0].astype(float) - drawn[1]).sum(axis=2)
        found += max_t(rows.sum(axis=0)[None], rng, 499)[0] < LEVEL
    assert found / 200 == pytest.approx(0.8, abs=0.09)


def test_all_models_must_be_equal() -> None:
    """The model with the largest p-value decides, and one with too few states leaves it open."""
    models = {"a": _model((), states=310), "b": _model(range(2), states=310)}
    joint = joint_test(models, fresh_rng())
    decision = joint.is_equal(0.01)
    assert decision.verdict == "supported"
    assert decision.p == max(test.is_equal(0.01).p for test in joint.tests.values())
    joint = joint_test({**models, "c": _model(range(20), states=310)}, fresh_rng())
    assert joint.is_not_worse(0.001).verdict == "not supported"
    few = joint_test({**models, "c": _model((), states=10)}, fresh_rng()).is_equal(0.01)
    assert (few.verdict, few.doubt) == ("undecided", "10 sequences, at least 20 needed")


def test_refuting_is_corrected_for_the_number_of_models() -> None:
    """A model just beyond the margin by itself leaves the claim about three models open."""
    models = {"a": _model(range(20), states=310), "b": _model(()), "c": _model(range(2))}
    joint = joint_test(models, fresh_rng())
    test = joint.tests["a"]
    intervals = [test.is_equal(0.5, level).effect.interval for level in (LEVEL, LEVEL / 3)]
    nearest = [-interval.high for interval in intervals if interval]
    assert nearest[0] > nearest[1] > 0
    between = sum(nearest) / 2
    assert test.is_equal(between).verdict == "not supported"
    decision = joint.is_equal(between)
    assert decision.verdict == "undecided"
    assert decision.reason.endswith("but not if corrected for 3 models")
    assert joint.is_equal(nearest[1] / 2).verdict == "not supported"


def test_no_model_is_an_error() -> None:
    """At least one model is needed."""
    with pytest.raises(ValueError, match="no model"):
        joint_test({}, fresh_rng())
