"""About how long a model takes on a GPU: a roofline, a pass after the other.

A pass reads all weights and the cache once and multiplies its tokens with the weights; it takes
the longer of the two (Williams, Waterman and Patterson, "Roofline", CACM 52(4), 2009).
"""

from dataclasses import dataclass
from math import ceil

from benchmark.planning.memory import EIGHT_BIT, cache_bytes, element_bytes, weight_bytes
from benchmark.planning.planning import Assumptions, Drafted, GpuSpec, Workload
from benchmark.planning.shape import ModelShape


@dataclass(frozen=True, slots=True)
class Decoding:
    """How answers come about: so many tokens a state, in so many passes, so many states at once.

    Plain greedy decoding takes a pass a token. ``prompt_tokens`` are read in one pass before.
    """

    batch_size: int
    prompt_tokens: float
    tokens_per_state: float
    passes_per_state: float


@dataclass(frozen=True, slots=True)
class Seconds:
    """A forecast: what the GPU cannot beat, and about what it will be."""

    at_least: float
    about: float


@dataclass(frozen=True, slots=True)
class PassCost:
    """One run through the model: in each row so many new tokens, some scored, up to a length."""

    rows: int
    tokens: float
    scored: float
    length: float


def plain_decoding(workload: Workload, batch_size: int) -> Decoding:
    """A pass a token; several rows are padded to the longest and go on until all are done."""
    if batch_size == 1:
        prompt, answer = workload.prompt_tokens, workload.answer_tokens
    else:
        prompt, answer = workload.prompt_tokens_of_batch, workload.answer_tokens_of_batch
    return Decoding(batch_size, prompt, answer, answer)


def pass_seconds(shape: ModelShape, dtype: str, gpu: GpuSpec, work: PassCost) -> float:
    """The least time of a pass on one GPU.

    Layers shared between several GPUs run one after the other, not at once. Weights in 8 bit are
    multiplied at the rate of 16 bit.
    """
    cache = cache_bytes(shape, dtype, work.rows, int(work.length))
    # Of the new positions themselves half is masked.
    seen = work.length - work.tokens / 2
    operations = _operations(shape, work.rows * work.tokens, work.rows * work.scored, seen)
    return _roofline(shape, dtype, gpu, cache, operations)


def drafted_seconds(
    shape: ModelShape,
    dtype: str,
    gpu: GpuSpec,
    work: Workload,
    how: Drafted,
    assumed: Assumptions,
) -> Seconds:
    """The time of decoding the workload with drafts, rows being replaced as they finish.

    What the prompts share is read in one pass and kept once; a row keeps the rest of its prompt
    and half of its answer, on average.
    """
    rows = min(how.batch_size, work.states)
    own = work.prompt_tokens - work.shared_tokens + work.answer_tokens / 2
    cache = cache_bytes(shape, dtype, 1, work.shared_tokens)
    cache += cache_bytes(shape, dtype, rows, int(own))
    seen = work.shared_tokens + own
    each = how.tokens / how.passes, how.scored / how.passes
    step = _roofline(shape, dtype, gpu, cache, _operations(shape, *each, seen))
    read = pass_seconds(shape, dtype, gpu, PassCost(1, work.shared_tokens, 0, work.shared_tokens))
    passes, least = work.states * how.passes, assumed.seconds_a_layer * shape.layers
    return Seconds(
        at_least=read + passes * step, about=max(read, least) + passes * max(step, least)
    )


def _operations(shape: ModelShape, tokens: float, scored: float, seen: float) -> float:
    """Of a pass whose tokens each look at so many: two a product, as hardware counts them."""
    # For the scores, and for mixing the values.
    attention = 4 * shape.layers * shape.heads * shape.head_dim * seen
    return tokens * (2 * shape.linear + attention) + scored * 2 * shape.head


def _roofline(
    shape: ModelShape, dtype: str, gpu: GpuSpec, cache: float, operations: float
) -> float:
    moved = weight_bytes(shape, dtype) - shape.unread * element_bytes(dtype) + cache
    rate = gpu.flops.float32 if dtype == "float32" else gpu.flops.float16
    return max(moved / gpu.bandwidth, operations / rate)


def decoding_seconds(
    shape: ModelShape, dtype: str, gpu: GpuSpec, states: int, how: Decoding, assumed: Assumptions
) -> Seconds:
    """The time of decoding the states, without loading the model.

    ``about`` gives each layer of a pass at least the assumed time that launching it takes.
    """
    batches = ceil(states / how.batch_size)
    rows = ceil(states / batches)
    tokens = how.tokens_per_state / how.passes_per_state
    length = how.prompt_tokens + how.tokens_per_state / 2
    prompt = PassCost(rows, how.prompt_tokens, 1, how.prompt_tokens)
    read = pass_seconds(shape, dtype, gpu, prompt)
    step = pass_seconds(shape, dtype, gpu, PassCost(rows, tokens, tokens, length))
    least = assumed.seconds_a_layer * shape.layers
    return Seconds(
        at_least=batches * (read + how.passes_per_state * step),
        about=batches * (max(read, least) + how.passes_per_state * max(step, least)),
    )


def loading_seconds(shape: ModelShape, dtype: str, assumed: Assumptions) -> float:
    """The assumed time of reading the weights from disk, where they lie in 16 bit, or 32."""
    stored = "bfloat16" if dtype == EIGHT_BIT else dtype
    return weight_bytes(shape, stored) / assumed.disk_bytes_per_second
