"""Draws are fair, and the same on every platform and with every release of Python and NumPy.

The statistical tests have fixed seeds and the level 1e-4: a fair generator with another stream
fails each of them once in 10,000 times.
"""

from collections import Counter
from collections.abc import Hashable, Iterable
from itertools import combinations, permutations
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare, poisson

from benchmark.boxes.portable_random import PortableRandom
from benchmark.errors import SettingError
from fakes.draws import draws

LEVEL = 1e-4
WORD = 2**64


def draws_of(*words: int) -> PortableRandom:
    """PortableRandom from just these raw words, for what happens at the edges."""
    raw = np.array(words, dtype=np.uint64)
    fake = SimpleNamespace(bit_generator=SimpleNamespace(random_raw=lambda size: raw))
    return PortableRandom(cast("np.random.Generator", fake))


def uniform_p_value(drawn: Iterable[Hashable], every: Iterable[Hashable]) -> float:
    """Return the p-value of a chi-square test that each of ``every`` is as likely as any other."""
    counts = Counter(drawn)
    expected = list(every)
    assert set(counts) <= set(expected)
    return float(chisquare([counts[value] for value in expected]).pvalue)


@given(n=st.integers(1, WORD), seed=st.integers(0, 2**32))
def test_below_is_in_range(n: int, seed: int) -> None:
    """An integer below n is one of 0..n-1, up to the size of a raw word."""
    source = draws(seed)
    assert all(0 <= source.below(n) < n for _ in range(20))


@pytest.mark.parametrize("n", [2, 3, 7, 10, 100])
def test_below_is_uniform(n: int) -> None:
    """Every integer below n is as likely as any other."""
    source = draws(n)
    assert uniform_p_value((source.below(n) for _ in range(200 * n)), range(n)) > LEVEL


def test_below_is_uniform_where_a_remainder_would_not_be() -> None:
    """With n = 2/3 of a word the lower half of the range is no likelier than the upper."""
    n = 2 * (WORD // 3)
    source = draws(1)
    halves = (source.below(n) < n // 2 for _ in range(2000))
    assert uniform_p_value(halves, [True, False]) > LEVEL


def test_below_rejects_the_words_of_the_incomplete_last_cycle() -> None:
    """2^64 - 1 would make 0 too likely among three, and is drawn again; one less is not."""
    assert draws_of(WORD - 1, 5).below(3) == 2
    assert draws_of(WORD - 2, 5).below(3) == 2
    assert draws_of(WORD - 2, 4).below(3) == (WORD - 2) % 3
    assert draws_of(WORD - 1, 4).below(3) == 4 % 3
    assert draws_of(WORD - 1).below(2) == 1


@pytest.mark.parametrize("mean", [1, 2])
def test_poisson_has_the_right_frequencies(mean: int) -> None:
    """Poisson counts have the frequencies of scipy's Poisson distribution."""
    source = draws(10 + mean)
    size, most = 20_000, mean + 5
    counts = Counter(min(source.poisson(mean), most) for _ in range(size))
    expected = size * np.append(poisson.pmf(range(most), mean), poisson.sf(most - 1, mean))
    assert chisquare([counts[k] for k in range(most + 1)], expected).pvalue > LEVEL


@pytest.mark.parametrize("mean", [1, 2])
@pytest.mark.parametrize("count", range(8))
def test_poisson_steps_where_the_distribution_does(mean: int, count: int) -> None:
    """The share of words with at most ``count`` is scipy's cumulative probability."""
    edge = int(poisson.cdf(count, mean) * WORD)
    margin = 2**14  # of 2^64: what a double cannot tell apart
    assert draws_of(edge - margin).poisson(mean) == count
    assert draws_of(edge + margin).poisson(mean) == count + 1


def test_poisson_of_the_outermost_words() -> None:
    """The smallest word gives 0, the largest one a finite count."""
    assert draws_of(0).poisson(2) == 0
    assert 20 <= draws_of(WORD - 1).poisson(2) <= 30


def test_choice_is_uniform() -> None:
    """Every item is as likely to be chosen as any other."""
    source = draws(20)
    assert uniform_p_value((source.choice("abcde") for _ in range(1000)), "abcde") > LEVEL


@given(items=st.lists(st.integers(), max_size=30, unique=True), data=st.data())
def test_sample_is_without_replacement(items: list[int], data: st.DataObject) -> None:
    """A sample has the given size, only given items, none twice, and does not modify them."""
    size = data.draw(st.integers(0, len(items)))
    before = list(items)
    sample = draws(data.draw(st.integers(0, 2**32))).sample(items, size)
    assert len(sample) == len(set(sample)) == size
    assert set(sample) <= set(items)
    assert items == before


def test_sample_gives_every_ordered_list_equally() -> None:
    """Each ordered pair out of four is as likely as any other."""
    source = draws(21)
    pairs = (tuple(source.sample("abcd", 2)) for _ in range(2400))
    assert uniform_p_value(pairs, permutations("abcd", 2)) > LEVEL


def test_sample_of_everything_is_a_fair_shuffle() -> None:
    """Each order of four is as likely as any other."""
    source = draws(22)
    shuffles = (tuple(source.sample("abcd", 4)) for _ in range(2400))
    assert uniform_p_value(shuffles, permutations("abcd")) > LEVEL


@pytest.mark.parametrize("items", ["ab", "abc", "abcd"])
def test_subset_is_uniform_over_the_subsets_that_are_not_empty(items: str) -> None:
    """Each of the 2^n - 1 subsets is as likely as any other, and in the order of the items."""
    source = draws(30 + len(items))
    every = [part for size in range(1, len(items) + 1) for part in combinations(items, size)]
    assert len(every) == 2 ** len(items) - 1
    subsets = (tuple(source.subset(items)) for _ in range(300 * len(every)))
    assert uniform_p_value(subsets, every) > LEVEL


def test_subset_of_one_item_is_that_item() -> None:
    """There is one subset of a single item that is not empty."""
    source = draws(30)
    assert all(source.subset("a") == ["a"] for _ in range(50))


def test_stream_is_pinned() -> None:
    """The draws of a fixed seed are the same on every platform."""
    source = draws(20240711)
    assert [source.below(1000) for _ in range(12)] == [
        *(775, 413, 297, 952, 14, 519),
        *(850, 259, 989, 661, 379, 834),
    ]
    assert [source.below(2**63 + 1) for _ in range(2)] == [2525977351418953787, 4605551624747244652]
    assert [source.poisson(2) for _ in range(16)] == [
        1,
        2,
        4,
        2,
        2,
        3,
        2,
        2,
        2,
        1,
        1,
        2,
        1,
        0,
        5,
        0,
    ]
    assert [source.poisson(1) for _ in range(16)] == [
        1,
        2,
        1,
        1,
        1,
        0,
        4,
        2,
        1,
        2,
        1,
        1,
        1,
        1,
        1,
        0,
    ]
    assert [source.choice("abcdefg") for _ in range(8)] == list("fbfbddbf")
    assert source.sample(range(100), 8) == [10, 48, 92, 61, 96, 40, 90, 86]
    subsets = ["".join(source.subset("abc")) for _ in range(6)]
    assert subsets == ["abc", "c", "ac", "abc", "ac", "ac"]


def test_stream_is_pinned_beyond_the_first_block() -> None:
    """Words are read in blocks, and none is lost between two blocks."""
    source = draws(20240711)
    words = np.random.Generator(np.random.PCG64(20240711)).bit_generator.random_raw(10_000)
    assert [source.below(WORD) for _ in range(10_000)] == words.tolist()


def test_words_of_32_bits_are_refused() -> None:
    """A bit generator with shorter words, whose draws would be wrong, is refused."""
    with pytest.raises(SettingError, match="MT19937"):
        PortableRandom(np.random.Generator(np.random.MT19937(0)))
