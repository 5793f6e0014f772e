"""The settings of the repeats that measure the noise floor."""

import os
from itertools import product

import pytest

from benchmark.fingerprints.noise_measurement import variation


@pytest.mark.parametrize("states", [2, 16, 64])
def test_repeats_are_distinct(states: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reversed states occur at most once per batch size; all other orders are shuffled."""
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    variations = [variation(number, states, states) for number in range(24)]
    reverse = [size for size, _, order in variations if order == "reversed"]
    assert reverse
    assert len(reverse) == len(set(reverse))
    assert {order for _, _, order in variations} == {"reversed", "shuffled"}
    sizes = {size for size, _, _ in variations}
    assert {1, states} <= sizes
    assert {(size, threads) for size, threads, _ in variations} == set(product(sizes, (1, 2, 4)))


def test_threads_do_not_exceed_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """On one core all repeats use one thread."""
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert {variation(number, 8, 8)[1] for number in range(9)} == {1}
