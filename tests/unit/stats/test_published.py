"""Tests of published counts, compared with statsmodels and with figures by hand."""

import math
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportions_ztest

from benchmark.models.published import published
from benchmark.records import Tally
from benchmark.stats.published import holm, unpaired_test

TALLIES = st.integers(1, 500).flatmap(
    lambda total: st.integers(0, total).map(lambda correct: Tally(correct, total))
)


@given(TALLIES, TALLIES)
def test_without_design_effect_it_is_the_textbook_test(base: Tally, variant: Tally) -> None:
    """With a design effect of 1, p-values match the z-test of statsmodels."""
    test = unpaired_test(base, variant, design_effect=1.0)
    if not test.error:
        assert (base.accuracy, variant.accuracy) in {(0, 0), (1, 1)}
        assert test.two_sided == 1
        return
    counts, totals = [variant.correct, base.correct], [variant.total, base.total]
    _, two_sided = proportions_ztest(counts, totals)
    _, greater = proportions_ztest(counts, totals, alternative="larger")
    assert (test.two_sided, test.greater) == pytest.approx((two_sided, greater), abs=1e-9)


def test_design_effect_widens_the_error() -> None:
    """A design effect of 2 makes the standard error 1.41 times larger."""
    base, variant = Tally(40, 100), Tally(50, 100)
    ratio = unpaired_test(base, variant, 2.0).error / unpaired_test(base, variant, 1.0).error
    assert ratio == pytest.approx(math.sqrt(2))


def test_a_published_difference() -> None:
    """CodeLlama 13B beats Llama 2 13B by 22.5 points at numops >= 1."""
    base, variant = (
        Tally(
            sum(t.correct for n, t in published()[name].by_numops.items() if n),
            sum(t.total for n, t in published()[name].by_numops.items() if n),
        )
        for name in ("Llama 2 13B", "CodeLlama 13B")
    )
    test = unpaired_test(base, variant)
    assert 100 * test.difference == pytest.approx(22.51, abs=0.01)
    assert test.greater < 1e-30


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_matches_statsmodels(p_values: list[float]) -> None:
    """Adjusted p-values match statsmodels, also for equal and extreme ones."""
    with patch("gc.collect"):  # statsmodels collects garbage at every call
        theirs = multipletests(p_values, method="holm")[1].tolist()
    assert holm(p_values) == theirs


def test_holm_by_hand() -> None:
    """The smallest is multiplied by 3, the next by 2, and the order is kept."""
    assert holm([0.03, 0.01, 0.04]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([]) == []
