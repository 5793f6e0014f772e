"""The order of the rounds."""

from collections import Counter
from itertools import pairwise

import pytest

from benchmark.speed.rounds import order, spread


@pytest.mark.parametrize("repeats", [1, 2, 5])
def test_every_engine_once_a_round(repeats: int) -> None:
    """In each round each engine measures once, and no round begins before the last has ended."""
    asked = list(order(["a", "b", "c"], repeats))
    assert Counter(asked) == {(number, name): 1 for number in range(repeats) for name in "abc"}
    assert [number for number, _ in asked] == sorted(number for number, _ in asked)


def test_orders_turn() -> None:
    """Every second round goes backwards, and in as many pairs of rounds each is first once."""
    asked = list(order("abc", 6))
    rounds = ["".join(name for n, name in asked if n == number) for number in range(6)]
    assert rounds == ["abc", "cba", "bca", "acb", "cab", "bac"]


@pytest.mark.parametrize(("count", "wanted"), [(7, 3), (717, 64), (5, 5), (4, 9), (3, None)])
def test_samples_are_spread(count: int, wanted: int | None) -> None:
    """A sample has so many distinct places in order, all steps between them nearly alike."""
    places = spread(count, wanted)
    assert len(places) == min(count, wanted or count)
    steps = {after - before for before, after in pairwise(places)}
    assert min(steps) >= 1
    assert max(steps) - min(steps) <= 1
    assert set(places) <= set(range(count))
