"""What went wrong in a run: sums, groups and regressions of answers with known errors."""

from collections import Counter
from itertools import islice
from math import log

import numpy as np
import pytest

from benchmark.boxes.vocabulary import default_vocabulary
from benchmark.records import Answer, State
from benchmark.scoring.error_types import ERROR_TYPES
from benchmark.scoring.outcomes import score
from benchmark.stats.constants import fresh_rng
from benchmark.stats.error_contrast import contrast_errors, counted
from benchmark.stats.error_summary import AnsweredState, answered, query_rows, summarize_errors
from benchmark.tasks import TASKS, Task, task_named
from fakes import finished_runs

STANDARD = task_named("boxes")


def sampled(task: Task, states: int = 130) -> list[State]:
    """Return states of all lengths."""
    return list(islice(task.generate("dev", 4, default_vocabulary()), states))


def guessing(task: Task, states: list[State], share: float, seed: int = 0) -> list[AnsweredState]:
    """Answer this share of the boxes rightly, and the others with their initial contents."""
    rng, result = np.random.default_rng(seed), []
    for state in states:
        initial = task.operations(state.description)[0]
        contents = tuple(
            frozenset(query.gold if rng.random() < share else initial[query.box])
            for query in state.queries
        )
        result.append(answered(task, state, Answer(contents, (None,) * 7)))
    return result


@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
def test_sums_agree_with_the_scores(task: Task) -> None:
    """Types add up to the wrong queries; every grouping has all queries and all right ones."""
    states = guessing(task, sampled(task), 0.5)
    summary = summarize_errors(states)
    outcomes = [score(one.answer, one.state) for one in states]
    right = sum(map(sum, (outcome.correct for outcome in outcomes)))
    assert summary.wrong == 7 * len(states) - right
    assert (
        summary.count("initial_contents") == summary.wrong == sum(counted(summary.codes).values())
    )
    assert summary.queries == Counter(n for outcome in outcomes for n in outcome.numops)
    for groups in summary.groups.values():
        tallies = [group.overall.tally for group in groups.values()]
        assert sum(tally.total for tally in tallies) == 7 * len(states)
        assert sum(tally.correct for tally in tallies) == right
        for group in groups.values():
            parts = (group.unchanged.tally, group.nontrivial.tally)
            assert group.overall.tally.total == sum(part.total for part in parts)
    whole = sum(all(outcome.correct) for outcome in outcomes)
    assert (summary.whole_states.tally.correct, summary.whole_states.tally.total) == (
        whole,
        len(states),
    )
    types = summary.as_json()["types"]
    assert isinstance(types, dict)
    assert list(types) == [error.name for error in ERROR_TYPES]
    assert types["initial_contents"]["overall"] == summary.wrong


def test_groups_are_counted_by_hand() -> None:
    """One state with a put into box 0 that the answer ignores, and a move that it carries out."""
    first = ", ".join(f"Box {box} contains nothing" for box in range(1, 7))
    operations = "Put the hat into Box 0. Move the bag from Box 0 to Box 1."
    description = f"Box 0 contains the bag, {first}. {operations}"
    state = STANDARD.state(description, 8)
    said = [{"bag"}, {"bag"}, *[set[str]()] * 5]
    answer = Answer(tuple(map(frozenset, said)), (None,) * 7)
    one = answered(STANDARD, state, answer)
    assert one.codes == "i......"
    summary = summarize_errors([one])
    correct = {
        name: {value: group.overall.tally for value, group in groups.items()}
        for name, groups in summary.groups.items()
    }
    right_of = {
        name: {value: (tally.correct, tally.total) for value, tally in groups.items()}
        for name, groups in correct.items()
    }
    assert right_of == {
        "last_change": {"none": (5, 5), "move in": (1, 1), "move out": (0, 1)},
        "last_operation": {"move in": (1, 1), "move out": (0, 1), "move elsewhere": (5, 5)},
        "objects": {"0": (5, 5), "1": (1, 2)},
    }
    assert dict(summary.objects) == {"answered": 2, "present": 2, "both": 1}
    assert (summary.whole_states.tally.correct, summary.whole_states.tally.total) == (0, 1)


def test_regression_separates_numops_from_box_size() -> None:
    """If box size alone decides, numops seems to matter, and given the size it does not.

    A box is right with probability 0.9 if it is empty, else 0.3, and its operations do not matter.
    """
    rng, states = np.random.default_rng(1), []
    for state in sampled(STANDARD, 520):
        contents = tuple(
            frozenset(query.gold)
            if rng.random() < (0.3 if query.gold else 0.9)
            else frozenset({"dragon"})
            for query in state.queries
        )
        states.append(answered(STANDARD, state, Answer(contents, (None,) * 7)))
    summary = summarize_errors(states)
    assert summary.alone is not None
    assert summary.adjusted is not None
    alone, adjusted = summary.alone.effects, summary.adjusted.effects
    assert (alone["first_change"].odds_ratio or 0) > 1.3
    assert (alone["first_change"].p or 1) < 0.01
    truth = {"empty": log((0.9 / 0.1) / (0.3 / 0.7))}
    for name in ("first_change", "further_changes", "further_objects", "empty"):
        effect = adjusted[name]
        assert abs((effect.log_odds or 0) - truth.get(name, 0)) < 4 * (effect.error or 0), name


def test_only_right_answers_have_no_regression() -> None:
    """There is nothing to explain, and no division by zero."""
    summary = summarize_errors(guessing(STANDARD, sampled(STANDARD, 13), 1.0))
    assert summary.alone is summary.adjusted is None
    assert summary.as_json()["regression"] == {"numops_alone": None, "with_objects": None}


def test_copying_is_separated_at_numops_0() -> None:
    """A model that copies is always right there: the step to numops 1 has no finite odds ratio."""
    summary = summarize_errors(guessing(STANDARD, sampled(STANDARD), 0.0))
    assert summary.adjusted is not None
    effect = summary.adjusted.effects["first_change"]
    assert effect.odds_ratio == 0
    assert "separated" in effect.note


def test_contrast_counts_new_and_past_errors() -> None:
    """Growth is the difference of the counts; types that occur in neither are left out."""
    states = sampled(STANDARD, 260)
    base, variant = (guessing(STANDARD, states, share, 3) for share in (0.8, 0.2))
    codes = [[one.codes for one in answers] for answers in (base, variant)]
    outcomes = [score(one.answer, one.state) for one in base]
    ((name, contrast),) = contrast_errors(outcomes, codes[0], codes[1], fresh_rng).items()
    counts = [counted(side)["initial_contents"] for side in codes]
    assert name == "initial_contents"
    assert contrast.growth == counts[1] - counts[0] > 0
    assert contrast.adjusted == contrast.test.two_sided < 0.05
    assert contrast_errors(outcomes, codes[0], codes[0], fresh_rng)[name].growth == 0
    assert contrast.detectable is not None
    assert 0 < contrast.detectable < contrast.growth
    few = contrast_errors(outcomes[:13], codes[0][:13], codes[1][:13], fresh_rng)
    assert [one.as_json()["detectable"] for one in few.values()] == [None]


def test_a_row_per_query_has_the_states_sequence() -> None:
    """Rows name the cluster of the state."""
    states = [
        answered(STANDARD, s, STANDARD.parse(finished_runs.correct_answer(s)))
        for s in sampled(STANDARD, 2)
    ]
    rows = [row for one in states for row in query_rows(one)]
    assert [row.sequence for row in rows] == [
        one.state.sample_id for one in states for _ in range(7)
    ]
    assert all(row.right for row in rows)
