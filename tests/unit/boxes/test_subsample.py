"""The evaluated subset: which states are drawn, with all of their queries."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from benchmark.boxes.dataset import generate, rows
from benchmark.boxes.subsample import subsample
from benchmark.records import Contents, Query, State

Stream = Callable[[], Iterator[State]]
MANY_NUMOPS = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=7), max_size=40) | st.lists(
    st.lists(st.sampled_from([0, 0, 1, 8]), min_size=7, max_size=7), max_size=120
)


def rng(seed: int) -> np.random.Generator:
    """Return a fresh generator."""
    return np.random.Generator(np.random.PCG64(seed))


def stream(numops: Sequence[Sequence[int]]) -> Stream:
    """Return a function of states whose queries have these numops, the same at each call."""
    states = [
        State(index, f"state {index}", tuple(Query(0, (), n, (n, 0, 0)) for n in row))
        for index, row in enumerate(numops)
    ]
    return lambda: iter(states)


def queries(states: Sequence[State]) -> Counter[int]:
    """Return how many queries of each numops the states have."""
    return Counter(query.numops for state in states for query in state.queries)


@pytest.fixture(scope="module")
def dev(vocabulary: Contents) -> list[State]:
    """All states of a dev split."""
    return list(generate("dev", 7, vocabulary))


@settings(max_examples=50)
@given(numops=MANY_NUMOPS, seed=st.integers(0, 2**32))
def test_subsample_keeps_what_it_must(numops: list[list[int]], seed: int) -> None:
    """Whole states in order; 100 queries of each numops 0 to 7, all where there are no more."""
    states = stream(numops)
    every = list(states())
    result = list(subsample(states(), rng(seed)))
    rest = iter(every)
    assert all(state in rest for state in result), "not in order, or not as given"
    before, after = queries(every), queries(result)
    for n in range(8):
        assert after[n] >= min(100, before[n])
        if before[n] <= 100:
            assert after[n] == before[n]
    requested = [state for state in every if any(query.numops < 8 for query in state.queries)]
    assert all(state in requested for state in result)


def test_subsample_agrees_with_a_naive_check_of_a_whole_split(dev: list[State]) -> None:
    """On a real split: rare numops in full, common ones at least 100, far from all states."""
    result = list(subsample(iter(dev), rng(0)))
    positions = [dev.index(state) for state in result]
    assert positions == sorted(set(positions))
    before, after = queries(dev), queries(result)
    rare = [n for n in range(8) if 0 < before[n] <= 100]
    common = [n for n in range(8) if before[n] > 100]
    assert rare
    assert common
    assert all(after[n] == before[n] for n in rare)
    assert all(after[n] >= 100 for n in common)
    assert len(result) <= sum(min(100, before[n]) for n in range(8))
    assert all(len(state.queries) == 7 for state in result)


def test_subsample_depends_on_its_generator_alone(dev: list[State]) -> None:
    """The same seed draws the same states, another seed others."""
    first, again, other = (list(subsample(iter(dev), rng(seed))) for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_states_without_a_reported_numops_are_not_drawn() -> None:
    """Nothing is drawn for numops above 7, but such queries of drawn states stay."""
    states = stream([[8, 9], [8, 0], [11]])
    assert [state.sample_id for state in subsample(states(), rng(0))] == [1]
    assert len(next(subsample(states(), rng(0))).queries) == 2


def test_subsample_of_nothing_is_nothing() -> None:
    """An empty stream has an empty subset."""
    assert list(subsample(stream([])(), rng(0))) == []


def test_exactly_100_queries_are_drawn_a_numops() -> None:
    """With one query a state, 100 states are drawn of those with each numops."""
    states = stream([[n] for n in range(9) for _ in range(100 + 50 * n)])
    result = list(subsample(states(), rng(1)))
    assert queries(result) == Counter(dict.fromkeys(range(8), 100))


def test_every_query_is_as_likely_to_be_drawn() -> None:
    """First and last of a stream are drawn equally often (chi-square, 1e-4 at each end)."""
    size, repeats, share = 150, 1500, 100 / 150
    states = stream([[0]] * size)
    drawn = Counter(
        state.sample_id for seed in range(repeats) for state in subsample(states(), rng(seed))
    )
    expected = repeats * share
    deviations = sum((drawn[index] - expected) ** 2 for index in range(size))
    # The 150 indicators of one draw have variance share*(1-share) and sum to 100; hence the
    # factor (size-1)/size and the degrees of freedom.
    statistic = deviations / (expected * (1 - share)) * (size - 1) / size
    assert 1e-4 < chi2.sf(statistic, size - 1) < 1 - 1e-4


def test_evaluated_test_set_has_about_the_size_of_the_papers(vocabulary: Contents) -> None:
    """The test split of seed 0 gives 650 to 780 states; the paper's evaluated set has 716."""
    result = list(generate("test", 0, vocabulary, subsampled=True))
    counts = queries(result)
    assert 650 <= len(result) <= 780
    assert all(counts[n] >= 100 for n in range(7))
    assert {len(state.queries) for state in result} == {7}
    assert any(not any(query.numops for query in state.queries) for state in result)


def test_the_evaluated_set_of_seed_0_is_pinned(vocabulary: Contents) -> None:
    """The states that everything is measured on are these, to the byte."""
    result = list(generate("test", 0, vocabulary, subsampled=True))
    digest = sha256("".join(f"{row}\n" for state in result for row in rows(state)).encode())
    assert (len(result), len({state.sample_id for state in result})) == (717, 500)
    assert sorted(queries(result).items()) == list(
        enumerate([1284, 1459, 1104, 613, 274, 140, 105, 39, 1])
    )
    assert digest.hexdigest() == "cc29fd8d49aa4a7d39f0007daec3c5afddebd75beabc84532fcb723967ed5cab"
