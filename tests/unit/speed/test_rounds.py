"""The order of the rounds."""

from collections import Counter
from itertools import pairwise

import pytest

from benchmark.speed.rounds import evenly_spaced, rotating_order


@pytest.mark.parametrize("repeats", [1, 2, 5])
def test_every_engine_once_per_round(repeats: int) -> None:
    """In each round each engine is measured once, and rounds do not overlap."""
    turns = list(rotating_order(["a", "b", "c"], repeats))
    assert Counter(turns) == {(number, name): 1 for number in range(repeats) for name in "abc"}
    assert [number for number, _ in turns] == sorted(number for number, _ in turns)


def test_order_rotates() -> None:
    """Every second round goes backwards, and each engine is first in one pair of rounds."""
    turns = list(rotating_order("abc", 6))
    rounds = ["".join(name for n, name in turns if n == number) for number in range(6)]
    assert rounds == ["abc", "cba", "bca", "acb", "cab", "bac"]


@pytest.mark.parametrize(("count", "size"), [(7, 3), (717, 64), (5, 5), (4, 9), (3, None)])
def test_samples_are_evenly_spaced(count: int, size: int | None) -> None:
    """A sample has distinct indices in order, and all steps differ by at most one."""
    indices = evenly_spaced(count, size)
    assert len(indices) == min(count, size or count)
    steps = {after - before for before, after in pairwise(indices)}
    assert min(steps) >= 1
    assert max(steps) - min(steps) <= 1
    assert set(indices) <= set(range(count))
