"""Attention in parts, compared with attention over all keys at once."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmark.decoding.speculative.attention import Mask, ScoreParameters, merge, partial_attention
from benchmark.decoding.speculative.batch import Batch, CacheCopy
from benchmark.decoding.speculative.cache import KeyValues, RaggedCache
from benchmark.decoding.speculative.cost_model import CostModel
from benchmark.decoding.speculative.fused import operations
from benchmark.decoding.speculative.fused.passes import FusedKernels
from benchmark.decoding.speculative.passes import PrefixPass, RowsPass
from fakes.window_shares import OWN, PREFIX, expected_shares, window_shares

KEY_HEADS, GROUP, WIDTH = 2, 3, 8
HEADS = KEY_HEADS * GROUP

KERNELS = (None, FusedKernels())
"""None, and the compiled kernels; these leave attention with a soft cap to torch."""


@pytest.fixture(autouse=True, scope="module")
def _threads() -> None:
    """Let the kernels use as many threads as torch does here: one."""
    operations.use_threads()


def naive_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, parameters: ScoreParameters
) -> torch.Tensor:
    """Return causal attention of one sequence, shapes (tokens, heads, width), query by query."""
    result = torch.zeros_like(query, dtype=torch.float64)
    for position in range(len(query)):
        first = 0 if parameters.window is None else max(0, position + 1 - parameters.window)
        for head in range(HEADS):
            keys = key[first : position + 1, head // GROUP].double()
            scores = keys @ query[position, head].double() * parameters.scaling
            if parameters.softcap is not None:
                scores = torch.tanh(scores / parameters.softcap) * parameters.softcap
            values = value[first : position + 1, head // GROUP].double()
            result[position, head] = scores.softmax(0) @ values
    return result


def _sequence(length: int, generator: torch.Generator) -> list[torch.Tensor]:
    heads = (HEADS, KEY_HEADS, KEY_HEADS)
    return [torch.randn(length, count, WIDTH, generator=generator) * 2 for count in heads]


@given(
    split=st.integers(1, 11),
    seed=st.integers(0, 99),
    scale=st.sampled_from([0.1, 1.0, 30.0]),
)
def test_merged_parts_equal_full_attention(split: int, seed: int, scale: float) -> None:
    """Attention to some keys and to the others, merged, is torch's attention to all keys."""
    generator = torch.Generator().manual_seed(seed)
    query, key, value = (
        torch.randn(1, HEADS, length, WIDTH, generator=generator) for length in (5, 12, 12)
    )
    key, value = key[:, :KEY_HEADS] * scale, value[:, :KEY_HEADS]
    parameters = ScoreParameters(0.3, None, None)
    grouped = query.view(KEY_HEADS, GROUP, 5, WIDTH).transpose(0, 1)
    parts = [
        partial_attention(
            grouped, KeyValues(key[:, :, part], value[:, :, part]).expand(GROUP), parameters, None
        )
        for part in (slice(split), slice(split, None))
    ]
    expected = torch.nn.functional.scaled_dot_product_attention(
        query, key, value, scale=0.3, enable_gqa=True
    )
    torch.testing.assert_close(
        merge(*parts).permute(2, 0, 1, 3).flatten(0, 1), expected[0], atol=1e-5, rtol=1e-5
    )


@given(
    lengths=st.lists(st.integers(1, 14), min_size=1, max_size=4),
    prefix=st.integers(0, 9),
    cuts=st.lists(st.integers(1, 5), min_size=1, max_size=5),
    window=st.sampled_from([None, 1, 4, 10]),
    softcap=st.sampled_from([None, 0.7]),
    few=st.integers(0, 6),
    neighbours=st.integers(1, 4),
    fused=st.sampled_from(KERNELS),
    seed=st.integers(0, 99),
)
def test_packed_rows_are_independent(
    lengths: list[int],
    prefix: int,
    cuts: list[int],
    window: int | None,
    softcap: float | None,
    few: int,
    neighbours: int,
    fused: FusedKernels | None,
    seed: int,
) -> None:
    """However rows are cut into passes and grouped, each has the attention that it has alone."""
    parameters = ScoreParameters(0.4, softcap, window)
    generator = torch.Generator().manual_seed(seed)
    shared = _sequence(prefix, generator)
    rows = [_sequence(length, generator) for length in lengths]
    sequences = [[torch.cat(pair) for pair in zip(shared, row, strict=True)] for row in rows]
    expected = [naive_attention(query, key, value, parameters) for query, key, value in sequences]
    cache, cost_model = RaggedCache(len(rows), max(lengths)), CostModel(9, 9, 0, 0, few, neighbours)
    if prefix:
        query, key, value = shared
        output = PrefixPass(cache).attend(
            0, query, key.transpose(0, 1), value.transpose(0, 1), parameters
        )
        torch.testing.assert_close(output.double(), expected[0][:prefix], atol=1e-5, rtol=1e-5)
    done = [0] * len(rows)
    for turn in range(100):
        batch, parts = Batch(prefix), []
        for slot, row in enumerate(rows):
            cut = slice(done[slot], done[slot] + cuts[(turn + slot) % len(cuts)])
            if part := range(len(row[0]))[cut]:
                batch.add(slot, part.start, [0] * len(part))
                parts.append((slot, [tensor[cut] for tensor in row], part))
                done[slot] = part.stop
        if not parts:
            break
        query, key, value = (torch.cat([tensors[i] for _, tensors, _ in parts]) for i in range(3))
        output = RowsPass(cache, batch, cost_model, fused=fused).attend(
            0, query, key.transpose(0, 1), value.transpose(0, 1), parameters
        )
        for (slot, _, part), span in zip(parts, batch.spans, strict=True):
            actual = output[span.start : span.start + span.length].double()
            reference = expected[slot][prefix + part.start : prefix + part.stop]
            torch.testing.assert_close(actual, reference, atol=1e-5, rtol=1e-5)
    assert done == lengths


@pytest.mark.parametrize("fused", KERNELS, ids=["torch", "compiled"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("softcap", [None, 0.7])
@pytest.mark.parametrize("window", [None, 1, 3, PREFIX - 1, PREFIX, PREFIX + 1, PREFIX + OWN])
def test_what_is_seen_at_the_end_of_the_prefix(
    window: int | None, softcap: float | None, dtype: torch.dtype, fused: FusedKernels | None
) -> None:
    """A window that ends in the prefix hides its first tokens, one that starts after it all."""
    shares = window_shares(window, softcap, dtype, fused)
    torch.testing.assert_close(shares, expected_shares(window), atol=2e-3, rtol=1e-2)


def test_slots_are_copied_and_shared() -> None:
    """Copied positions hold what was written to their source; a slot's last position is usable."""
    cache = RaggedCache(3, 71)
    key = torch.arange(4.0).view(1, 4, 1)
    for slot in (0, 1):
        rows = cache.row_indices(torch.tensor([slot] * 4), torch.arange(4), 1)
        cache.store(0, key.transpose(0, 1), -key.transpose(0, 1), rows)
    cache.copy([CacheCopy(0, 2, 3)])
    last = cache.row_indices(torch.tensor([2]), torch.tensor([70]), 1)
    stored = cache.store(0, torch.full((1, 1, 1), 9.0), torch.zeros(1, 1, 1), last)
    assert stored.keys.shape == (3, 1, 71, 1)
    seen = stored.view(slice(1, 3), 4)
    assert seen.keys[:, 0, :, 0].tolist() == [[0, 1, 2, 3], [0, 1, 2, 0]]
    assert seen.values[1, 0, :3, 0].tolist() == [0, -1, -2]
    assert stored.keys[2, 0, 70, 0] == 9


@pytest.mark.parametrize("length", [31, 32, 33, 70])
def test_slots_in_blocks_are_copied_and_shared(length: int) -> None:
    """A copy has the positions of its source up to its length, which may be inside a block."""
    generator = torch.Generator().manual_seed(0)
    for copied in {1, 31, 32, length - 1, length} & set(range(length + 1)):
        cache = RaggedCache(3, length)
        stored = cache.in_blocks(0, 2, torch.empty(0, 5))
        assert stored.keys.shape == (3, 2, -(-length // 32), 5, 32)
        assert stored.values.shape == (3, 2, 32 * stored.keys.shape[2], 5)
        assert not any(tensor.any() for tensor in stored)
        key, value = torch.randn(2, 3, 2, length, 5, generator=generator)
        for position in range(length):
            stored.keys[:, :, position // 32, :, position % 32] = key[:, :, position]
            stored.values[:, :, position] = value[:, :, position]
        cache.copy([CacheCopy(0, 2, copied), CacheCopy(1, 0, 1)])
        again = cache.in_blocks(0, 2, torch.empty(0, 5))
        by_position = again.keys.transpose(-1, -2).flatten(2, 3)
        for slot, source, count in ((0, 1, 1), (1, 1, length), (2, 0, copied)):
            assert torch.equal(by_position[slot, :, :count], key[source, :, :count])
            assert torch.equal(again.values[slot, :, :count], value[source, :, :count])


@pytest.mark.parametrize("length", [31, 32, 33, 70])
def test_slots_in_pairs_are_copied(length: int) -> None:
    """Keys have pairs of dimensions, values pairs of positions; a copy may end inside a pair."""
    generator = torch.Generator().manual_seed(0)
    for copied in {1, 31, 32, length - 1, length} & set(range(length + 1)):
        cache = RaggedCache(3, length)
        stored = cache.in_pairs(0, 2, torch.empty(0, 6))
        assert stored.keys.shape == (3, 2, -(-length // 32), 3, 32, 2)
        assert stored.values.shape == (3, 2, 16 * stored.keys.shape[2], 6, 2)
        assert not any(tensor.any() for tensor in stored)
        key, value = torch.randn(2, 3, 2, length, 6, generator=generator)
        places = [(i, d) for i in range(length) for d in range(6)]
        for i, d in places:
            stored.keys[:, :, i // 32, d // 2, i % 32, d % 2] = key[:, :, i, d]
            stored.values[:, :, i // 2, d, i % 2] = value[:, :, i, d]
        cache.copy([CacheCopy(0, 2, copied)])
        keys, values = cache.in_pairs(0, 2, torch.empty(0, 6))
        for i, d in places[: 6 * copied]:
            assert torch.equal(keys[2, :, i // 32, d // 2, i % 32, d % 2], key[0, :, i, d])
            assert torch.equal(values[2, :, i // 2, d, i % 2], value[0, :, i, d])


@pytest.mark.parametrize("length", [0, 31, 32, 70])
def test_prefix_in_pairs(length: int) -> None:
    """It has the form of the slots, with zeros behind its last token."""
    generator, cache = torch.Generator().manual_seed(0), RaggedCache(1, 1)
    key, value = torch.randn(2, 2, length, 6, generator=generator)
    if length:
        cache.store_prefix(0, key, value)
    keys, values = cache.prefix_in_pairs(0, 2, key)
    assert cache.prefix_length(0) == length
    for i in range(32 * keys.shape[2]):
        for d in range(6):
            own = [one[:, i, d] if i < length else torch.zeros(2) for one in (key, value)]
            assert torch.equal(keys[0, :, i // 32, d // 2, i % 32, d % 2], own[0])
            assert torch.equal(values[0, :, i // 2, d, i % 2], own[1])
    assert 32 * keys.shape[2] == 2 * values.shape[2] == -(-length // 32) * 32


def test_prefix_is_not_copied_per_head() -> None:
    """The eager path folds rows that share keys into one row, so memory does not grow."""
    rows, length = 8, 1000
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(rows, KEY_HEADS, 2, WIDTH, generator=generator)
    key, value = torch.randn(2, 1, KEY_HEADS, length, WIDTH, generator=generator)
    mask = Mask(torch.arange(length) < torch.tensor([[[400], [700]]]))
    parameters = ScoreParameters(0.3, 5.0, None)
    with torch.profiler.profile(profile_memory=True) as one:
        together = partial_attention(query, KeyValues(key, value).expand(rows), parameters, mask)
    with torch.profiler.profile(profile_memory=True) as many:
        apart = [
            partial_attention(row[None], KeyValues(key, value), parameters, mask) for row in query
        ]
    for i, part in enumerate(together):
        torch.testing.assert_close(part, torch.cat([separate[i] for separate in apart]))
    allocated = [
        sum(max(event.self_cpu_memory_usage, 0) for event in trace.events())
        for trace in (one, many)
    ]
    assert 0 < allocated[0] < 1.2 * allocated[1]
