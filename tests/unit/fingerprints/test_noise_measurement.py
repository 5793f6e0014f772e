"""What is varied from one repeat to the next."""

import os
from itertools import product

import pytest

from benchmark.fingerprints.noise_measurement import variation


@pytest.mark.parametrize("states", [2, 16, 64])
def test_no_two_repeats_compute_the_same(states: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reversed states come once with each batch size at most; all else is shuffled anew."""
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    found = [variation(number, states, states) for number in range(24)]
    reverse = [size for size, _, order in found if order == "reversed"]
    assert reverse
    assert len(reverse) == len(set(reverse))
    assert {order for _, _, order in found} == {"reversed", "shuffled"}
    sizes = {size for size, _, _ in found}
    assert {1, states} <= sizes
    assert {(size, threads) for size, threads, _ in found} == set(product(sizes, (1, 2, 4)))


def test_threads_are_no_more_than_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """On one core all repeats run on one thread."""
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert {variation(number, 8, 8)[1] for number in range(9)} == {1}
