"""Attention in parts, against torch's attention over all keys at once."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmark.decoding.speculative.attention import Mask, Scoring, merge, partial
from benchmark.decoding.speculative.batch import Batch, Copy
from benchmark.decoding.speculative.cache import RaggedCache, Stored
from benchmark.decoding.speculative.cost_model import CostModel
from benchmark.decoding.speculative.passes import PrefixPass, RowsPass

KEY_HEADS, GROUP, WIDTH = 2, 3, 8
HEADS = KEY_HEADS * GROUP


def whole(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scoring: Scoring
) -> torch.Tensor:
    """Causal attention of one sequence, shapes (tokens, heads, width), score by score."""
    result = torch.zeros_like(query, dtype=torch.float64)
    for place in range(len(query)):
        first = 0 if scoring.window is None else max(0, place + 1 - scoring.window)
        for head in range(HEADS):
            keys = key[first : place + 1, head // GROUP].double()
            scores = keys @ query[place, head].double() * scoring.scaling
            if scoring.softcap is not None:
                scores = torch.tanh(scores / scoring.softcap) * scoring.softcap
            values = value[first : place + 1, head // GROUP].double()
            result[place, head] = scores.softmax(0) @ values
    return result


def _sequence(length: int, generator: torch.Generator) -> list[torch.Tensor]:
    heads = (HEADS, KEY_HEADS, KEY_HEADS)
    return [torch.randn(length, each, WIDTH, generator=generator) * 2 for each in heads]


@given(
    split=st.integers(1, 11),
    seed=st.integers(0, 99),
    scale=st.sampled_from([0.1, 1.0, 30.0]),
)
def test_merged_parts_are_the_whole(split: int, seed: int, scale: float) -> None:
    """Attention to some keys and to the others, merged, is torch's attention to all of them."""
    generator = torch.Generator().manual_seed(seed)
    query, key, value = (
        torch.randn(1, HEADS, length, WIDTH, generator=generator) for length in (5, 12, 12)
    )
    key, value = key[:, :KEY_HEADS] * scale, value[:, :KEY_HEADS]
    scoring = Scoring(0.3, None, None)
    grouped = query.view(KEY_HEADS, GROUP, 5, WIDTH).transpose(0, 1)
    parts = [
        partial(grouped, Stored(key[:, :, part], value[:, :, part]).times(GROUP), scoring, None)
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
    seed=st.integers(0, 99),
)
def test_packed_rows_are_attended_as_alone(
    lengths: list[int],
    prefix: int,
    cuts: list[int],
    window: int | None,
    softcap: float | None,
    few: int,
    neighbours: int,
    seed: int,
) -> None:
    """However rows are cut into passes and attended together, each gets what it would alone."""
    scoring = Scoring(0.4, softcap, window)
    generator = torch.Generator().manual_seed(seed)
    shared = _sequence(prefix, generator)
    rows = [_sequence(length, generator) for length in lengths]
    wholes = [[torch.cat(pair) for pair in zip(shared, row, strict=True)] for row in rows]
    expected = [whole(query, key, value, scoring) for query, key, value in wholes]
    cache, pace = RaggedCache(len(rows), max(lengths)), CostModel(9, 9, 0, 0, few, neighbours)
    if prefix:
        query, key, value = shared
        found = PrefixPass(cache).attend(
            0, query, key.transpose(0, 1), value.transpose(0, 1), scoring
        )
        torch.testing.assert_close(found.double(), expected[0][:prefix], atol=1e-5, rtol=1e-5)
    done = [0] * len(rows)
    for turn in range(100):
        batch, parts = Batch(prefix), []
        for slot, row in enumerate(rows):
            cut = slice(done[slot], done[slot] + cuts[(turn + slot) % len(cuts)])
            if part := range(len(row[0]))[cut]:
                batch.add(slot, part.start, [0] * len(part))
                parts.append((slot, [each[cut] for each in row], part))
                done[slot] = part.stop
        if not parts:
            break
        query, key, value = (torch.cat([tensors[i] for _, tensors, _ in parts]) for i in range(3))
        found = RowsPass(cache, batch, pace).attend(
            0, query, key.transpose(0, 1), value.transpose(0, 1), scoring
        )
        for (slot, _, part), span in zip(parts, batch.spans, strict=True):
            here = found[span.start : span.start + span.length].double()
            there = expected[slot][prefix + part.start : prefix + part.stop]
            torch.testing.assert_close(here, there, atol=1e-5, rtol=1e-5)
    assert done == lengths


def test_slots_are_copied_and_shared() -> None:
    """A copied beginning and a token written to two slots are what was written first."""
    cache = RaggedCache(3, 71)
    key = torch.arange(4.0).view(1, 4, 1)
    for slot in (0, 1):
        rows = cache.rows(torch.tensor([slot] * 4), torch.arange(4), 1)
        cache.store(0, key.transpose(0, 1), -key.transpose(0, 1), rows)
    cache.copy([Copy(0, 2, 3)])
    last = cache.rows(torch.tensor([2]), torch.tensor([70]), 1)
    stored = cache.store(0, torch.full((1, 1, 1), 9.0), torch.zeros(1, 1, 1), last)
    assert stored.keys.shape == (3, 1, 71, 1)
    seen = stored.view(slice(1, 3), 4)
    assert seen.keys[:, 0, :, 0].tolist() == [[0, 1, 2, 3], [0, 1, 2, 0]]
    assert seen.values[1, 0, :3, 0].tolist() == [0, -1, -2]
    assert stored.keys[2, 0, 70, 0] == 9


def test_the_prefix_is_not_copied_for_heads_of_a_group() -> None:
    """Where no kernel takes equal keys for several rows, they are one row: nothing grows by it."""
    rows, length = 8, 1000
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(rows, KEY_HEADS, 2, WIDTH, generator=generator)
    key, value = torch.randn(2, 1, KEY_HEADS, length, WIDTH, generator=generator)
    mask = Mask(torch.arange(length) < torch.tensor([[[400], [700]]]))
    scoring = Scoring(0.3, 5.0, None)
    with torch.profiler.profile(profile_memory=True) as one:
        together = partial(query, Stored(key, value).times(rows), scoring, mask)
    with torch.profiler.profile(profile_memory=True) as many:
        apart = [partial(each[None], Stored(key, value), scoring, mask) for each in query]
    for place, part in enumerate(together):
        torch.testing.assert_close(part, torch.cat([each[place] for each in apart]))
    made = [
        sum(max(event.self_cpu_memory_usage, 0) for event in taken.events())
        for taken in (one, many)
    ]
    assert 0 < made[0] < 1.2 * made[1]
