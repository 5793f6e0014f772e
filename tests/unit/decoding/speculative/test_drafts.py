"""Guesses: what follows elsewhere, and what is expected."""

from benchmark.decoding.speculative.acceptance import Acceptance
from benchmark.decoding.speculative.cost_model import CostModel
from benchmark.decoding.speculative.drafts import copied, expected


def test_copied_follows_the_last_and_longest_match() -> None:
    """Three agreeing tokens count before two, and a later place before an earlier one."""
    draft = copied((1, 2, 3, 4, 9, 2, 3, 5, 1, 2, 3, 6, 8, 3, 7))
    assert draft([1, 2, 3]) == 6
    assert draft([9, 2, 3]) == 5
    assert draft([7, 7, 3]) == 7
    assert draft([]) is None
    assert draft([4, 4, 7]) is None


def test_expected_goes_on_after_a_difference() -> None:
    """The answer is followed from its beginning, and found again after what differs."""
    draft = expected({(1,): (5, 6, 7, 8, 9)})((1,))
    assert [draft((5, 6, 7, 8, 9)[:n]) for n in range(6)] == [5, 6, 7, 8, 9, None]
    assert draft((5, 4)) is None
    assert draft((5, 4, 7)) == 8
    assert expected({})((1,))(()) is None


def test_acceptance_is_the_share_of_right_guesses() -> None:
    """Counted by source and streak, and one half before anything is known."""
    acceptance = Acceptance()
    assert acceptance.rate("a", 0) == 0.5
    for right in (True, True, False):
        acceptance.observe("a", 5, right=right)
    assert acceptance.rate("a", 3) == acceptance.rate("a", 99) == 3 / 5
    assert acceptance.rate("a", 2) == acceptance.rate("b", 3) == 0.5


def test_threshold_is_where_cost_and_gain_agree() -> None:
    """A draft as likely as the threshold saves as much of a pass as it wastes of a token."""
    pace = CostModel.on("cpu", rows=32)
    for rows in (1, 8, 32):
        chance = pace.threshold(rows)
        saved = pace.fixed / rows + pace.per_row
        assert abs(chance * saved - (1 - chance)) < 1e-12
    assert CostModel.on("cuda", 1).threshold(1) < pace.threshold(1) < pace.threshold(32)
    assert CostModel.on("xpu", 1) == CostModel.on("cuda", 1)
