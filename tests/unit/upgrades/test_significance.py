"""Distances and p-values of records that the tests make by hand."""

from dataclasses import replace

import pytest

from benchmark.fingerprints.compare import compare
from benchmark.fingerprints.digests import StageRecord
from benchmark.fingerprints.record import Allowed, AllowedSet, Fingerprint
from benchmark.upgrades.environment_diff import EnvironmentDiff, significance_text
from benchmark.upgrades.flakiness import distance, stage_decisions
from fakes.fake_fingerprints import with_changed_stage


def _constrained(
    record: Fingerprint, *sets: str, sizes: tuple[int, ...] = (7, 7, 7)
) -> Fingerprint:
    """Return the record with these sets along the first state's answer of three tokens."""
    assert record.allowed is not None
    new_sets = (AllowedSet(name, size, 7) for name, size in zip(sets, sizes, strict=False))
    all_sets = (*record.allowed.sets, *new_sets)
    first = range(len(all_sets) - len(sets), len(all_sets))
    forbidden = [-1] * (3 - len(sets))
    along = ((*first, *forbidden), *record.allowed.along[1:])
    return replace(record, allowed=Allowed(all_sets, along))


def test_distance_of_equal_records(record: Fingerprint) -> None:
    """A record has distance 0 from itself."""
    comparison = compare(record, record)
    assert {distance(comparison, stage) for stage in record.stages} == {0.0}


def test_distance_is_the_share_of_states(record: Fingerprint) -> None:
    """Two of three states have different token ids; the weights count as a whole."""
    new = with_changed_stage(with_changed_stage(record, "prompt_ids", (0, 2)), "weights", (0,))
    comparison = compare(record, new)
    assert distance(comparison, "prompt_ids") == pytest.approx(2 / 3)
    assert distance(comparison, "weights") == 1.0
    assert distance(comparison, "prompt") == 0.0


@pytest.mark.parametrize(
    ("sets", "sizes", "summed"),
    [
        (("p", "q", "r"), (7, 7, 7), 0.0),
        (("x", "q", "r"), (7, 7, 7), 0.5),  # equal sizes, different tokens
        (("p", "x", "r"), (7, 8, 7), 1.0),
        (("x", "x", "r"), (7, 8, 7), 1.5),
        (("p", "q"), (7, 7), 1.0),  # the third token is not allowed
        ((), (), 3.0),
    ],
)
def test_distance_of_constraints(
    sets: tuple[str, ...], sizes: tuple[int, ...], summed: float, record: Fingerprint
) -> None:
    """The sets of one state of three, with three tokens, are compared token by token."""
    base, other = _constrained(record, "p", "q", "r"), _constrained(record, *sets, sizes=sizes)
    assert distance(compare(base, other), "constraint") == pytest.approx(summed / 9)


def test_diverging_answers_end_the_comparison(record: Fingerprint) -> None:
    """Sets after different tokens are not compared, the last set before them is."""
    base = _constrained(record, "p", "q", "r")
    other = replace(_constrained(record, "x", "q", "s"), path=((5, 9, 1), *record.path[1:]))
    assert distance(compare(base, other), "constraint") == pytest.approx(0.5 / 2 / 3)


def test_forbidden_rest_does_not_count(record: Fingerprint) -> None:
    """Positions that neither path reaches do not count."""
    base, other = _constrained(record, "p"), _constrained(record, "x")
    assert distance(compare(base, other), "constraint") == pytest.approx(0.5 / 3)


def test_consistent_difference_is_significant(record: Fingerprint) -> None:
    """All processes differ later in the answer; only the releases differ at the first token."""
    old, new = (
        [_constrained(record, f"a{s}{n}", f"b{s}{n}", "r", sizes=(s, 7, 7)) for n in range(6)]
        for s in (5, 7)
    )
    decisions = stage_decisions(old, new, ["constraint", "prompt_ids"], 0.01)
    assert {stage: decision.p for stage, decision in decisions.items()} == {
        "constraint": pytest.approx(2 / 924),
        "prompt_ids": 1.0,
    }
    assert [decision.verdict for decision in decisions.values()] == ["supported", "undecided"]
    assert decisions["constraint"].effect.value > decisions["prompt_ids"].effect.value == 0
    tested = EnvironmentDiff(compare(old[0], new[0]), "constraint", {}, decisions, (6, 6))
    assert significance_text(tested) == (
        "constraint: p = 0.0022, prompt_ids: p = 1 (each at level 0.01, by Bonferroni); "
        "6 and 6 processes"
    )
    same = stage_decisions(old[:3], old[3:], ["constraint"], 0.01)
    assert same["constraint"].p == 1.0


def test_distance_of_a_failed_stage(record: Fingerprint) -> None:
    """A stage that fails in one record has distance 1, one that fails in both has distance 0."""
    stages = {**record.stages, "constraint": StageRecord(failed="no")}
    broken = replace(record, stages=stages)
    assert distance(compare(record, broken), "constraint") == 1.0
    assert distance(compare(broken, broken), "constraint") == 0.0
