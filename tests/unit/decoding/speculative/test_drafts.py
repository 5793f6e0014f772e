"""Sources of drafts, and what a pass costs."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.decoding.speculative import cost_model, drafts
from benchmark.decoding.speculative.cost_model import CostModel
from benchmark.decoding.speculative.drafts import (
    AnswerNgrams,
    Draft,
    completion_lookup,
    expected_answers,
    prompt_lookup,
)
from benchmark.package_data import package_toml

TOKENS = st.lists(st.integers(1, 3), max_size=12)


def test_prompt_lookup_uses_the_last_and_longest_match() -> None:
    """A trigram is preferred to a bigram, and a later occurrence to an earlier one."""
    draft = prompt_lookup((1, 2, 3, 4, 9, 2, 3, 5, 1, 2, 3, 6, 8, 3, 7))
    assert draft([1, 2, 3]) == Draft(6, basis=3)
    assert draft([9, 2, 3]) == Draft(5, basis=3)
    assert draft([8, 2, 3]) == Draft(6, basis=2)
    assert draft([7, 7, 3]) == Draft(7, basis=1)
    assert draft([]) is None
    assert draft([4, 4, 7]) is None


def test_a_repetition_is_continued() -> None:
    """What followed the last tokens of a completion before is drafted."""
    draft = completion_lookup((1, 2, 3))
    assert draft([7, 1, 2, 3, 1, 2, 3]) == Draft(1, basis=3)
    assert draft([7, 1, 2, 3, 1, 2, 3, 1]) == Draft(2, basis=3)
    assert draft([4, 2, 3, 5, 2, 3]) == Draft(5, basis=2)
    assert draft([5, 5]) == Draft(5, basis=1)
    assert draft([1, 2, 3]) is None
    assert draft([]) is None


def _naive_lookup(text: Sequence[int], suffix_of: Sequence[int]) -> Draft | None:
    """Return what followed the last occurrence of the longest suffix, by trying all places."""
    for width in range(min(3, len(suffix_of)), 0, -1):
        last = list(suffix_of[-width:])
        for end in range(len(text) - 1, width - 1, -1):
            if list(text[end - width : end]) == last:
                return Draft(text[end], width)
    return None


@given(st.lists(TOKENS, max_size=8))
def test_lookups_are_those_of_a_naive_search(texts: list[list[int]]) -> None:
    """For texts that grow, shrink and change, as with rejected drafts."""
    draft = completion_lookup(())
    for text in texts:
        assert draft(text) == _naive_lookup(text, text)
        prompt = (*text, 2, 3)
        assert prompt_lookup(prompt)(text[::-1]) == _naive_lookup(prompt, text[::-1])


@given(TOKENS, TOKENS)
def test_answer_ngrams_draft_the_most_frequent_token(answer: list[int], text: list[int]) -> None:
    """The longest suffix that occurred twice counts; its basis has length and share in tenths."""
    ngrams = AnswerNgrams()
    for place, token in enumerate(answer):
        ngrams.observe(answer[:place], token)
    expected = None
    for width in (3, 2, 1):
        suffix = text[-width:]
        followers = [
            answer[end]
            for end in range(width, len(answer))
            if answer[end - width : end] == suffix and len(suffix) == width
        ]
        if len(followers) > 1 and expected is None:
            token, count = Counter(followers).most_common(1)[0]
            share = 10 * (count + 0.5) / (len(followers) + 1)
            expected = Draft(token, 10 * width + int(share))
    assert ngrams.draft(text) == expected


def test_the_number_of_answer_ngrams_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Further n-grams are not counted; those that are there still are."""
    monkeypatch.setattr(drafts, "_MOST_NGRAMS", 2)
    ngrams = AnswerNgrams()
    for text, token in (([1], 2), ([3], 4), ([5], 6), ([5], 6), ([3], 4)):
        ngrams.observe(text, token)
    assert ngrams.draft([5]) is None
    assert ngrams.draft([3]) == Draft(4, basis=10 + 8)


def test_expected_answer_resumes_after_a_difference() -> None:
    """The answer is drafted from its start, and looked up by n-grams after a difference."""
    draft = expected_answers({(1,): (5, 6, 7, 8, 9)})((1,))
    assert [draft((5, 6, 7, 8, 9)[:n]) for n in range(5)] == [Draft(n) for n in (5, 6, 7, 8, 9)]
    assert draft((5, 6, 7, 8, 9)) is None
    assert draft((5, 4)) is None
    assert draft((5, 4, 7)) == Draft(8, basis=1)
    assert expected_answers({})((1,))(()) is None


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
