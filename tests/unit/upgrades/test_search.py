"""Searches over releases and upgrades, compared with naive versions."""

from collections.abc import Sequence
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.errors import SettingError
from benchmark.upgrades.search import Search, Transition, minimal_causes

# None is a release that cannot be measured, a number is a measurement.
MEASUREMENTS = st.lists(st.none() | st.integers(0, 3), min_size=2, max_size=14)


def _search(values: Sequence[int | None]) -> Search[int]:
    return Search(len(values), lambda index: values[index], lambda a, b: a != b)


def _measurable(values: Sequence[int | None]) -> list[tuple[int, int]]:
    return [(index, value) for index, value in enumerate(values) if value is not None]


def _scan(values: Sequence[int | None]) -> list[Transition]:
    """Return all transitions between measurable neighbours, by looking at each."""
    return [
        Transition(a, b) for (a, one), (b, other) in pairwise(_measurable(values)) if one != other
    ]


def _has_two(values: Sequence[int | None]) -> bool:
    return len(_measurable(values)) > 1


@given(MEASUREMENTS.filter(_has_two))
def test_result_is_a_transition_between_neighbours(values: list[int | None]) -> None:
    """For any measurements the result is an index where the measurement certainly changes."""
    search = _search(values)
    low, high = search.ends()
    transition = search.first(low, high)
    assert (transition is None) == (values[low] == values[high])
    assert transition is None or transition in _scan(values)


@given(st.lists(st.none() | st.booleans(), min_size=2, max_size=30).filter(_has_two))
def test_first_equals_a_scan_without_reverts(values: list[bool | None]) -> None:
    """If measurements change at most once, the search finds what a scan finds."""
    measured = sorted(v for v in values if v is not None)
    ordered = [None if v is None else measured.pop(0) for v in values]
    search = _search(ordered)
    assert search.first(*search.ends()) == next(iter(_scan(ordered)), None)


@given(st.lists(st.none() | st.integers(0, 9), min_size=2, max_size=30).filter(_has_two))
def test_every_equals_a_scan_without_reverts(values: list[int | None]) -> None:
    """If no change is reverted, all transitions are found, in order."""
    measured = sorted(v for v in values if v is not None)
    ordered = [None if v is None else measured.pop(0) for v in values]
    search = _search(ordered)
    assert list(search.every(*search.ends())) == _scan(ordered)


@given(MEASUREMENTS.filter(_has_two))
def test_one_by_one_equals_a_scan(values: list[int | None]) -> None:
    """Measuring every index also finds changes that were reverted."""
    search = _search(values)
    assert list(search.one_by_one(*search.ends())) == _scan(values)


def test_reverted_change_is_found_one_by_one_only() -> None:
    """A search between two equal ends finds nothing."""
    search = _search([0, 1, 1, 0])
    assert search.first(0, 3) is None
    assert search.one_by_one(0, 3) == (Transition(0, 1), Transition(2, 3))


def test_unmeasurable_indexes_are_between() -> None:
    """A transition names the unmeasurable indexes between its ends."""
    transition = _search([0, 0, None, None, 1, 1]).first(0, 5)
    assert transition == Transition(1, 4)
    assert transition.between == (2, 3)


def test_ends_are_measurable() -> None:
    """The outermost measurable indexes are the ends."""
    assert _search([None, 0, 1, None]).ends() == (1, 2)
    with pytest.raises(SettingError, match="widen the range"):
        _search([None, 0, None]).ends()
    with pytest.raises(SettingError, match="two releases"):
        _search([0])


def test_number_of_measurements() -> None:
    """A thousand releases take at most two ends and ten others, each measured once."""
    measured = list[int]()

    def measure(index: int) -> int:
        measured.append(index)
        return int(index >= 617)

    search = Search(1000, measure, lambda a, b: a != b)
    assert search.first(*search.ends()) == Transition(616, 617)
    assert len(measured) == len(set(measured)) <= 12
    assert search.measured == tuple(sorted(measured))


# Upgrades

UPGRADES = "abcdef"
SETS = st.sets(st.frozensets(st.sampled_from(UPGRADES), min_size=1), min_size=1, max_size=3)


def _naive(guilty: set[frozenset[str]], changes: str) -> set[frozenset[str]]:
    """Return the smallest sets of candidates that contain a guilty one, by trying all."""
    for size in range(1, len(changes) + 1):
        transition = {
            frozenset(c) for c in combinations(changes, size) if any(g <= set(c) for g in guilty)
        }
        if transition:
            return transition
    return set()


@given(SETS)
def test_causes_are_the_smallest_sets(guilty: set[frozenset[str]]) -> None:
    """All single causes and pairs are named, or one larger set that is minimal."""
    transition = minimal_causes(UPGRADES, lambda chosen: any(g <= chosen for g in guilty))
    smallest = _naive(guilty, UPGRADES)
    if len(next(iter(smallest))) <= 2:
        assert set(transition) == smallest
    else:
        assert len(transition) == 1
        assert transition[0] in guilty
        assert not any(other < transition[0] for other in guilty)


def test_untestable_sets_are_not_causes() -> None:
    """If an upgrade cannot be tried without another, the pair is named."""
    tried = {frozenset("a"): None, frozenset("b"): False}
    assert minimal_causes("ab", lambda chosen: tried.get(chosen, True)) == (frozenset("ab"),)


def test_no_effect_has_no_cause() -> None:
    """Searching for a cause is then misuse."""
    with pytest.raises(SettingError, match="change nothing"):
        minimal_causes("ab", lambda chosen: False)
