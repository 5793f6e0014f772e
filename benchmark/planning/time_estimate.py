"""Estimate the time of decoding on a GPU as a sum of passes, each by the roofline model.

A pass reads all weights and the cache once, and multiplies its tokens by the weights. It takes the
longer of the two times (Williams, Waterman and Patterson, "Roofline", CACM 52(4), 2009).
"""

from dataclasses import dataclass
from math import ceil

from benchmark.planning.memory import EIGHT_BIT, cache_bytes, element_bytes, weight_bytes
from benchmark.planning.planning import Assumptions, DraftingCost, GpuSpec, Workload
from benchmark.planning.shape import ModelShape


@dataclass(frozen=True, slots=True)
class DecodingWork:
    """The work of decoding: tokens and passes per state, and states per batch.

    Plain greedy decoding takes one pass per token. ``prompt_tokens`` are read in one pass before.
    """

    batch_size: int
    prompt_tokens: float
    tokens_per_state: float
    passes_per_state: float


@dataclass(frozen=True, slots=True)
class TimeEstimate:
    """A time in seconds: the lower bound of the GPU, and the expected value."""

    at_least: float
    expected: float


@dataclass(frozen=True, slots=True)
class PassCost:
    """One pass: rows, and per row its new tokens, those that are scored, and the final length."""

    rows: int
    tokens: float
    scored: float
    length: float


def plain_decoding(workload: Workload, batch_size: int) -> DecodingWork:
    """Return the work of one pass per token.

    Several rows are padded to the longest prompt, and run until the longest answer is complete.
    """
    if batch_size == 1:
        prompt, answer = workload.prompt_tokens, workload.answer_tokens
    else:
        prompt, answer = workload.prompt_tokens_of_batch, workload.answer_tokens_of_batch
    return DecodingWork(batch_size, prompt, answer, answer)


def pass_seconds(shape: ModelShape, dtype: str, gpu: GpuSpec, work: PassCost) -> float:
    """Return the lower bound of the time of a pass on one GPU, in seconds.

    Layers shared between several GPUs run one after the other. Weights in 8 bit are multiplied at
    the rate of 16 bit.
    """
    cache = cache_bytes(shape, dtype, work.rows, int(work.length))
    # Half of the new positions are masked.
    attended = work.length - work.tokens / 2
    operations = _operations(shape, work.rows * work.tokens, work.rows * work.scored, attended)
    return _roofline(shape, dtype, gpu, cache, operations)


def drafted_seconds(
    shape: ModelShape,
    dtype: str,
    gpu: GpuSpec,
    work: Workload,
    cost: DraftingCost,
    assumed: Assumptions,
) -> TimeEstimate:
    """Estimate the time of decoding the workload with drafts, replacing rows as they finish.

    The common beginning of the prompts is read in one pass and cached once. A row caches the rest
    of its prompt and, on average, half of its answer.
    """
    rows = min(cost.batch_size, work.states)
    row_length = work.prompt_tokens - work.shared_tokens + work.answer_tokens / 2
    cache = cache_bytes(shape, dtype, 1, work.shared_tokens)
    cache += cache_bytes(shape, dtype, rows, int(row_length))
    operations = _operations(
        shape, cost.tokens / cost.passes, cost.scored / cost.passes, work.shared_tokens + row_length
    )
    step = _roofline(shape, dtype, gpu, cache, operations)
    read = pass_seconds(shape, dtype, gpu, PassCost(1, work.shared_tokens, 0, work.shared_tokens))
    passes, least = work.states * cost.passes, assumed.seconds_a_layer * shape.layers
    return TimeEstimate(
        at_least=read + passes * step, expected=max(read, least) + passes * max(step, least)
    )


def _operations(shape: ModelShape, tokens: float, scored: float, attended: float) -> float:
    """Return the operations of a pass whose tokens attend to ``attended`` positions.

    A multiplication and its addition are two operations, as in data sheets of GPUs.
    """
    # Two products: the attention scores and the weighted sum of the values.
    attention = 4 * shape.layers * shape.heads * shape.head_dim * attended
    return tokens * (2 * shape.linear + attention) + scored * 2 * shape.head


def _roofline(
    shape: ModelShape, dtype: str, gpu: GpuSpec, cache: float, operations: float
) -> float:
    transferred = weight_bytes(shape, dtype) - shape.unread * element_bytes(dtype) + cache
    rate = gpu.flops.float32 if dtype == "float32" else gpu.flops.float16
    return max(transferred / gpu.bandwidth, operations / rate)


def decoding_seconds(
    shape: ModelShape,
    dtype: str,
    gpu: GpuSpec,
    states: int,
    work: DecodingWork,
    assumed: Assumptions,
) -> TimeEstimate:
    """Estimate the time of decoding the states, without loading the model.

    In the expected time each layer of a pass takes at least the assumed time of launching it.
    """
    batches = ceil(states / work.batch_size)
    rows = ceil(states / batches)
    tokens = work.tokens_per_state / work.passes_per_state
    length = work.prompt_tokens + work.tokens_per_state / 2
    prompt = PassCost(rows, work.prompt_tokens, 1, work.prompt_tokens)
    read = pass_seconds(shape, dtype, gpu, prompt)
    step = pass_seconds(shape, dtype, gpu, PassCost(rows, tokens, tokens, length))
    least = assumed.seconds_a_layer * shape.layers
    return TimeEstimate(
        at_least=batches * (read + work.passes_per_state * step),
        expected=batches * (max(read, least) + work.passes_per_state * max(step, least)),
    )


def loading_seconds(shape: ModelShape, dtype: str, assumed: Assumptions) -> float:
    """Return the assumed seconds of reading the weights from disk, stored in 16 or 32 bit."""
    stored = "bfloat16" if dtype == EIGHT_BIT else dtype
    return weight_bytes(shape, stored) / assumed.disk_bytes_per_second
