"""Drafts from the prompt and from expected answers, and their acceptance."""

import pytest

from benchmark.decoding.speculative import cost_model
from benchmark.decoding.speculative.cost_model import CostModel
from benchmark.decoding.speculative.drafts import expected_answers, prompt_lookup, repetition
from benchmark.decoding.speculative.sequence_state import Acceptance
from benchmark.package_data import package_toml


def test_prompt_lookup_uses_the_last_and_longest_match() -> None:
    """A trigram is preferred to a bigram, and a later occurrence to an earlier one."""
    draft = prompt_lookup((1, 2, 3, 4, 9, 2, 3, 5, 1, 2, 3, 6, 8, 3, 7))
    assert draft([1, 2, 3]) == 6
    assert draft([9, 2, 3]) == 5
    assert draft([7, 7, 3]) == 7
    assert draft([]) is None
    assert draft([4, 4, 7]) is None


def test_a_repetition_is_continued() -> None:
    """What followed the last three tokens is drafted if they occurred a short time earlier."""
    draft = repetition((1, 2, 3))
    assert draft([7, 1, 2, 3, 1, 2, 3]) == 1
    assert draft([7, 1, 2, 3, 1, 2, 3, 1]) == 2
    assert draft([5, 5, 5, 5]) == 5
    assert draft([5, 5, 5]) is None
    assert draft([1, 2, 3, 4, 2, 3]) is None
    assert draft([]) is None
    text = list(range(16))
    assert draft([*text, *text[:3]]) == 3
    assert draft([*text, 16, *text[:3]]) is None


def test_long_streaks_have_rates_of_their_own() -> None:
    """A streak without observations has the rate of shorter ones, and then its own."""
    acceptance = Acceptance()
    for _ in range(98):
        acceptance.observe("a", 3, right=False)
    unseen = acceptance.rate("a", 3)
    assert unseen == pytest.approx(0.01, abs=0.002)
    assert acceptance.rate("a", 40) == unseen
    for _ in range(98):
        acceptance.observe("a", 40, right=True)
    assert acceptance.rate("a", 32) == acceptance.rate("a", 99) > 0.95
    assert acceptance.rate("a", 7) == acceptance.rate("a", 31) == unseen


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
    costs = CostModel.on("cpu", rows=32)
    for rows in (1, 8, 32):
        probability = costs.threshold(rows)
        saved = costs.fixed / rows + costs.per_row
        assert abs(probability * saved - (1 - probability)) < 1e-12
    assert CostModel.on("cuda", 1).threshold(1) < costs.threshold(1) < costs.threshold(32)
    assert CostModel.on("xpu", 1) == CostModel.on("cuda", 1)


def test_costs_are_those_of_the_kind_of_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind that was not measured has the costs of the kind that the file names."""
    document = package_toml("decoding/speculative/cost_model.toml")
    document["cpu"]["kinds"]["amx"] = {"fixed": 77, "per_row": 2.5}
    monkeypatch.setattr(cost_model, "package_toml", lambda path: document)
    by_kind = {}
    for kind in ("avx2", "avx512", "amx", "other"):
        monkeypatch.setattr(cost_model, "cpu_kind", lambda kind=kind: kind)
        by_kind[kind] = CostModel.on("cpu", 32)
    assert by_kind["avx2"] == by_kind["avx512"] == by_kind["other"]
    assert (by_kind["amx"].fixed, by_kind["amx"].per_row) == (77, 2.5)
    assert by_kind["amx"].tokens == by_kind["avx2"].tokens
