"""Drafts from the prompt and from expected answers, and their acceptance."""

from benchmark.decoding.speculative.cost_model import CostModel
from benchmark.decoding.speculative.drafts import expected_answers, prompt_lookup
from benchmark.decoding.speculative.sequence_state import Acceptance


def test_prompt_lookup_uses_the_last_and_longest_match() -> None:
    """A trigram is preferred to a bigram, and a later occurrence to an earlier one."""
    draft = prompt_lookup((1, 2, 3, 4, 9, 2, 3, 5, 1, 2, 3, 6, 8, 3, 7))
    assert draft([1, 2, 3]) == 6
    assert draft([9, 2, 3]) == 5
    assert draft([7, 7, 3]) == 7
    assert draft([]) is None
    assert draft([4, 4, 7]) is None


def test_expected_answer_resumes_after_a_difference() -> None:
    """The answer is drafted from its start, and looked up by n-grams after a difference."""
    draft = expected_answers({(1,): (5, 6, 7, 8, 9)})((1,))
    assert [draft((5, 6, 7, 8, 9)[:n]) for n in range(6)] == [5, 6, 7, 8, 9, None]
    assert draft((5, 4)) is None
    assert draft((5, 4, 7)) == 8
    assert expected_answers({})((1,))(()) is None


def test_acceptance_is_the_share_of_right_drafts() -> None:
    """Drafts are counted by source and streak, and the prior is one half."""
    acceptance = Acceptance()
    assert acceptance.rate("a", 0) == 0.5
    for right in (True, True, False):
        acceptance.observe("a", 5, right=right)
    assert acceptance.rate("a", 3) == acceptance.rate("a", 99) == 3 / 5
    assert acceptance.rate("a", 2) == acceptance.rate("b", 3) == 0.5


def test_threshold_balances_cost_and_gain() -> None:
    """At the threshold, the expected saving of a pass equals the expected waste of a token."""
    cost_model = CostModel.on("cpu", rows=32)
    for rows in (1, 8, 32):
        probability = cost_model.threshold(rows)
        saved = cost_model.fixed / rows + cost_model.per_row
        assert abs(probability * saved - (1 - probability)) < 1e-12
    assert CostModel.on("cuda", 1).threshold(1) < cost_model.threshold(1) < cost_model.threshold(32)
    assert CostModel.on("xpu", 1) == CostModel.on("cuda", 1)
