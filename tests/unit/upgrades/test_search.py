"""Searches over releases and upgrades, against looking at every one of them."""

from collections.abc import Sequence
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.errors import SettingError
from benchmark.upgrades.search import Move, Search, causes

# None is a release that cannot be measured; the number is what it gives.
MEASUREMENTS = st.lists(st.none() | st.integers(0, 3), min_size=2, max_size=14)


def _search(given_: Sequence[int | None]) -> Search[int]:
    return Search(len(given_), lambda place: given_[place], lambda a, b: a != b)


def _known(values: Sequence[int | None]) -> list[tuple[int, int]]:
    return [(place, value) for place, value in enumerate(values) if value is not None]


def _scan(values: Sequence[int | None]) -> list[Move]:
    """All moves between neighbours that can be measured, found by looking at each."""
    return [Move(a, b) for (a, one), (b, other) in pairwise(_known(values)) if one != other]


def _has_two(values: Sequence[int | None]) -> bool:
    return len(_known(values)) > 1


@given(MEASUREMENTS.filter(_has_two))
def test_what_is_found_is_a_move_between_neighbours(values: list[int | None]) -> None:
    """Whatever the releases do, the answer is a place where a move happens for certain."""
    search = _search(values)
    low, high = search.ends()
    found = search.first(low, high)
    assert (found is None) == (values[low] == values[high])
    assert found is None or found in _scan(values)


@given(st.lists(st.none() | st.booleans(), min_size=2, max_size=30).filter(_has_two))
def test_the_first_move_where_nothing_comes_back(values: list[bool | None]) -> None:
    """Of releases that move at most once the search finds what a scan finds."""
    measured = sorted(v for v in values if v is not None)
    ordered = [None if v is None else measured.pop(0) for v in values]
    search = _search(ordered)
    assert search.first(*search.ends()) == next(iter(_scan(ordered)), None)


@given(st.lists(st.none() | st.integers(0, 9), min_size=2, max_size=30).filter(_has_two))
def test_every_move_where_nothing_comes_back(values: list[int | None]) -> None:
    """Of releases that never return to what they gave, all moves are found, in order."""
    measured = sorted(v for v in values if v is not None)
    ordered = [None if v is None else measured.pop(0) for v in values]
    search = _search(ordered)
    assert list(search.every(*search.ends())) == _scan(ordered)


@given(MEASUREMENTS.filter(_has_two))
def test_each_release_measured_is_a_scan(values: list[int | None]) -> None:
    """Looking at each sees also what came and went."""
    search = _search(values)
    assert list(search.one_by_one(*search.ends())) == _scan(values)


def test_what_came_and_went_is_seen_only_one_by_one() -> None:
    """Between two like ends a search is silent; measuring each is not."""
    search = _search([0, 1, 1, 0])
    assert search.first(0, 3) is None
    assert search.one_by_one(0, 3) == (Move(0, 1), Move(2, 3))


def test_releases_that_cannot_be_measured_stay_suspects() -> None:
    """A move beside them names the last good and the first moved release, and those between."""
    found = _search([0, 0, None, None, 1, 1]).first(0, 5)
    assert found == Move(1, 4)
    assert found.between == (2, 3)


def test_ends_that_cannot_be_measured_give_way() -> None:
    """The outermost releases that can be measured are the ends."""
    assert _search([None, 0, 1, None]).ends() == (1, 2)
    with pytest.raises(SettingError, match="widen the range"):
        _search([None, 0, None]).ends()
    with pytest.raises(SettingError, match="two releases"):
        _search([0])


def test_a_search_measures_few_and_each_once() -> None:
    """A thousand releases take no more than the two ends and ten in between."""
    asked = list[int]()

    def probe(place: int) -> int:
        asked.append(place)
        return int(place >= 617)

    search = Search(1000, probe, lambda a, b: a != b)
    assert search.first(*search.ends()) == Move(616, 617)
    assert len(asked) == len(set(asked)) <= 12
    assert search.measured == tuple(sorted(asked))


# Upgrades

UPGRADES = "abcdef"
SETS = st.sets(st.frozensets(st.sampled_from(UPGRADES), min_size=1), min_size=1, max_size=3)


def _naive(guilty: set[frozenset[str]], changes: str) -> set[frozenset[str]]:
    """The smallest sets of changes that hold a guilty one, by trying all."""
    for size in range(1, len(changes) + 1):
        found = {
            frozenset(c) for c in combinations(changes, size) if any(g <= set(c) for g in guilty)
        }
        if found:
            return found
    return set()


@given(SETS)
def test_culprits_are_the_smallest_sets_that_move(guilty: set[frozenset[str]]) -> None:
    """Alone or in pairs all are named; of larger sets one that no part can be left out of."""
    found = causes(UPGRADES, lambda chosen: any(g <= chosen for g in guilty))
    smallest = _naive(guilty, UPGRADES)
    if len(next(iter(smallest))) <= 2:
        assert set(found) == smallest
    else:
        assert len(found) == 1
        assert found[0] in guilty
        assert not any(other < found[0] for other in guilty)


def test_sets_that_cannot_be_tried_are_no_answer() -> None:
    """Where one upgrade cannot be had without another, the pair is named."""
    tried = {frozenset("a"): None, frozenset("b"): False}
    assert causes("ab", lambda chosen: tried.get(chosen, True)) == (frozenset("ab"),)


def test_nothing_moved_has_no_culprit() -> None:
    """Looking for one is misuse."""
    with pytest.raises(SettingError, match="move nothing"):
        causes("ab", lambda chosen: False)
