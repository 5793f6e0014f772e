"""The roofline compared with figures by hand, and its properties."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.planning.architectures import configuration
from benchmark.planning.planning import Assumptions, DraftingCost, Flops, GpuSpec, Workload
from benchmark.planning.shape import ModelShape, shape
from benchmark.planning.time_estimate import (
    DecodingWork,
    PassCost,
    decoding_seconds,
    drafted_seconds,
    loading_seconds,
    pass_seconds,
    plain_decoding,
)

SMALL = ModelShape(
    linear=1000,
    linear_rows=10,
    other=300,
    head=100,
    unread=100,
    hidden_size=10,
    intermediate_size=20,
    heads=2,
    key_value_heads=1,
    head_dim=5,
    vocabulary=10,
    windows=(None, None),
)
ASSUMED = Assumptions(
    context_bytes=0,
    fragmentation=0,
    weights_share=1,
    seconds_a_layer=0,
    disk_bytes_per_second=100,
    hub_bytes_per_second=100,
)


def _gpu(bandwidth: float, flops: float) -> GpuSpec:
    return GpuSpec(
        memory_gb=1,
        bandwidth=bandwidth,
        flops=Flops(float16=flops, float32=flops / 4),
        source="made up",
    )


WORK = Workload(
    states=9,
    prompt_tokens=10,
    prompt_tokens_of_batch=12,
    longest_prompt_tokens=15,
    answer_tokens=5,
    answer_tokens_of_batch=7,
    shared_tokens=4,
    drafted=(
        DraftingCost(batch_size=2, passes=0.5, tokens=12, scored=3),
        DraftingCost(batch_size=4, passes=0.25, tokens=11, scored=3),
    ),
)
MEMORY_BOUND, COMPUTE_BOUND = _gpu(1.0, 1e12), _gpu(1e12, 1.0)
ONE = PassCost(rows=3, tokens=1, scored=1, length=8)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        # 1200 weights are read; the cache has 2 * 2 layers * 8 * 3 rows * 5 = 480 elements.
        ("bfloat16", 2 * 1200 + 2 * 480),
        ("float32", 4 * 1200 + 4 * 480),
        ("8bit", 1000 + 4 * 10 + 2 * 200 + 2 * 480),
    ],
)
def test_bytes_of_a_pass(dtype: str, expected: float) -> None:
    """With one byte per second a pass takes as many seconds as it reads bytes."""
    assert pass_seconds(SMALL, dtype, MEMORY_BOUND, ONE) == expected


@pytest.mark.parametrize(("dtype", "rate"), [("bfloat16", 1), ("8bit", 1), ("float32", 1 / 4)])
def test_operations_of_a_pass(dtype: str, rate: float) -> None:
    """With one operation per second a pass takes two seconds per product."""
    products = 3 * (1000 + 100 + 2 * (2 * 2 * 5 * 7.5))  # linear, head, scores and mixing
    assert pass_seconds(SMALL, dtype, COMPUTE_BOUND, ONE) == pytest.approx(2 * products / rate)


def test_attention_counts_the_pairs_of_positions() -> None:
    """In a complete prompt each position attends to itself and all earlier ones."""
    length = 40
    complete = PassCost(rows=1, tokens=length, scored=0, length=length)
    seen = sum(position + 0.5 for position in range(length))
    products = length * 1000 + 2 * 2 * 2 * 5 * seen
    assert pass_seconds(SMALL, "bfloat16", COMPUTE_BOUND, complete) == pytest.approx(2 * products)


def test_llama_on_an_h100() -> None:
    """One token of Llama 2 7B takes the time of reading its 13.2 GB: 3.9 ms."""
    result = shape(configuration("meta-llama/Llama-2-7b-hf"))
    gpu = _gpu(3.35e12, 989e12)
    seconds = pass_seconds(result, "bfloat16", gpu, PassCost(1, 1, 1, 1))
    assert seconds == pytest.approx(13.21e9 / 3.35e12, rel=0.001)


def _naive(how: DecodingWork, states: int, gpu: GpuSpec, least: float) -> float:
    """Sum the passes of every batch one by one."""
    batches = -(-states // how.batch_size)
    rows = -(-states // batches)
    tokens = how.tokens_per_state / how.passes_per_state
    length = how.prompt_tokens + how.tokens_per_state / 2
    total = 0.0
    for _ in range(batches):
        first = PassCost(rows, how.prompt_tokens, 1, how.prompt_tokens)
        total += max(pass_seconds(SMALL, "bfloat16", gpu, first), 2 * least)
        for _ in range(int(how.passes_per_state)):
            step = PassCost(rows, tokens, tokens, length)
            total += max(pass_seconds(SMALL, "bfloat16", gpu, step), 2 * least)
    return total


@given(
    states=st.integers(1, 60),
    batch_size=st.integers(1, 40),
    passes=st.integers(1, 12),
    tokens=st.integers(12, 30),
    least=st.sampled_from([0.0, 1.0, 1e5]),
    gpu=st.sampled_from([MEMORY_BOUND, COMPUTE_BOUND]),
)
def test_decoding_adds_up_passes(
    states: int, batch_size: int, passes: int, tokens: int, least: float, gpu: GpuSpec
) -> None:
    """The expected time sums all passes, each at least as long as launching its layers."""
    how = DecodingWork(batch_size, 20, tokens, passes)
    assumed = ASSUMED.model_copy(update={"seconds_a_layer": least})
    result = decoding_seconds(SMALL, "bfloat16", gpu, states, how, assumed)
    assert result.expected == pytest.approx(_naive(how, states, gpu, least))
    assert result.at_least == pytest.approx(_naive(how, states, gpu, 0))
    assert result.at_least <= result.expected * (1 + 1e-12)


def test_fewer_passes_save_reading_the_weights() -> None:
    """If memory is the bottleneck, half the passes take about half the time."""
    plain = DecodingWork(1, 1, 80, 80)
    drafted = DecodingWork(1, 1, 80, 40)
    slow, fast = (
        decoding_seconds(SMALL, "bfloat16", MEMORY_BOUND, 10, how, ASSUMED).at_least
        for how in (plain, drafted)
    )
    assert 1.9 < slow / fast < 2.1


def test_a_batch_waits_for_its_longest() -> None:
    """A single state takes the mean length, a batch that of its longest state."""
    assert plain_decoding(WORK, 1) == DecodingWork(1, 10, 5, 5)
    assert plain_decoding(WORK, 4) == DecodingWork(4, 12, 7, 7)


def test_a_smaller_batch_than_measured_takes_the_smallest() -> None:
    """Between two measured batch sizes the smaller, slower one is used."""
    sizes = [WORK.with_drafts(batch).batch_size for batch in (1, 2, 3, 4, 9)]
    assert sizes == [2, 2, 2, 4, 4]


@pytest.mark.parametrize(
    ("gpu", "expected"),
    [
        # The weights and a cache of 4 shared tokens, 16 * 5 elements; then 9 * 0.5 passes that
        # read the weights, those 4, and 2 rows of 6 + 5 / 2 tokens, rounded down.
        (MEMORY_BOUND, 2 * (1200 + 80) + 4.5 * 2 * (1200 + 80 + 2 * 8 * 20)),
        # Two operations a product: 1000 of the layers; 2 layers of 2 heads of 5 by keys and by
        # values, with half of 4 keys; then 9 * 12 tokens with 12.5 keys, and 9 * 3 with the head.
        (COMPUTE_BOUND, 4 * (2000 + 80 * 2) + 9 * 12 * (2000 + 80 * 12.5) + 9 * 3 * 200),
    ],
)
def test_drafted_decoding_by_hand(gpu: GpuSpec, expected: float) -> None:
    """The common beginning is read and cached once, and a pass has several tokens per row."""
    result = drafted_seconds(SMALL, "bfloat16", gpu, WORK, WORK.with_drafts(2), ASSUMED)
    assert result.at_least == pytest.approx(expected)
    assert result.expected == pytest.approx(expected)
    slow = ASSUMED.model_copy(update={"seconds_a_layer": 1e9})
    launching = drafted_seconds(SMALL, "bfloat16", gpu, WORK, WORK.with_drafts(2), slow)
    assert launching.expected == pytest.approx((1 + 4.5) * 2e9)


@pytest.mark.parametrize(("dtype", "size"), [("float32", 5200), ("bfloat16", 2600), ("8bit", 2600)])
def test_loading_reads_the_files(dtype: str, size: int) -> None:
    """Weights for 8 bit are stored in 16 bit on the disk."""
    assert loading_seconds(SMALL, dtype, ASSUMED) == size / 100
