"""Forecast the memory of a model while it decodes, and the number of GPUs it needs.

All figures are bytes, computed from the model's shape without loading it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import NamedTuple

from benchmark.errors import SettingError
from benchmark.planning.planning import Assumptions, planning
from benchmark.planning.shape import ModelShape

EIGHT_BIT = "8bit"

_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, EIGHT_BIT: 2}
"""Bytes per element of activations, keys and values; 8 bit makes only the weights smaller."""

_FLOAT32 = 4
_LOGIT_COPIES = 3
"""Copies of a row of logits in float32: the logits, the masked ones, and a temporary."""
_HEAD_POSITIONS, _HEAD_LOGITS = 128, 16_000_000
"""The logits that the default engine holds at once: 64 MB, or those of 128 positions if more."""

ENOUGH_ROWS = 8
"""A batch with which no further GPU is taken for a larger one: most of the speed is there."""


@dataclass(frozen=True, slots=True)
class DecodingBatch:
    """A batch to decode: rows, tokens per prompt, and the limit of new tokens per row.

    The default engine keeps the ``shared_tokens`` with which all prompts begin once, and adds no
    prompt to a pass with ``pass_tokens`` tokens. Without that limit prompts are padded to the
    longest and read in one pass.
    """

    batch_size: int
    prompt_tokens: int
    new_tokens: int
    shared_tokens: int = 0
    pass_tokens: int | None = None

    @property
    def length(self) -> int:
        """The largest number of positions in a row."""
        return self.prompt_tokens + self.new_tokens

    @property
    def own_tokens(self) -> int:
        """The tokens of a prompt that are not shared."""
        return self.prompt_tokens - self.shared_tokens

    @property
    def largest_pass(self) -> int:
        """The most tokens in a pass."""
        if self.pass_tokens is None:
            return self.batch_size * self.prompt_tokens
        several = min(self.batch_size * self.own_tokens, self.pass_tokens + self.own_tokens)
        return max(self.shared_tokens, several)


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory in bytes: weights and cache once, working memory on every GPU."""

    weights: int
    cache: int
    working: int
    layers: int

    @property
    def total(self) -> int:
        """The memory on a single GPU, without the CUDA context."""
        return self.weights + self.cache + self.working


def memory(shape: ModelShape, dtype: str, batch: DecodingBatch) -> Memory:
    """Return the memory of a model of this shape and dtype (or ``8bit``) decoding a batch."""
    packed = batch.pass_tokens is not None
    padded = cache_bytes(shape, dtype, batch.batch_size, batch.length, batch.prompt_tokens)
    return Memory(
        weights=weight_bytes(shape, dtype),
        cache=packed_cache_bytes(shape, dtype, batch) if packed else padded,
        working=(packed_working_bytes if packed else working_bytes)(shape, dtype, batch),
        layers=shape.layers,
    )


def element_bytes(dtype: str) -> int:
    """Return the bytes of one element of an activation.

    Raises:
        SettingError: for an unknown dtype.
    """
    if dtype not in _BYTES:
        raise SettingError(f"unknown dtype {dtype!r}; choose one of {', '.join(_BYTES)}")
    return _BYTES[dtype]


def weight_bytes(shape: ModelShape, dtype: str) -> int:
    """Return the bytes of all parameters.

    With 8 bit, as in bitsandbytes, the linear layers in the blocks are int8 with one float32 scale
    per row. Embeddings, norms, biases and the head stay in 16 bit.
    """
    size = element_bytes(dtype)
    if dtype == EIGHT_BIT:
        return shape.linear + _FLOAT32 * shape.linear_rows + size * shape.other
    return size * shape.parameters


def cache_bytes(
    shape: ModelShape, dtype: str, batch_size: int, length: int, read_at_once: int = 0
) -> int:
    """Return the bytes of the keys and values of ``batch_size`` rows of ``length`` positions.

    A layer with a sliding window keeps one position less than the window, since the newest is the
    query itself. After a prompt of ``read_at_once`` tokens, however, it keeps a view, which holds
    the memory of the complete prompt until the next token.
    """
    positions = sum(
        length if window is None else max(min(length, window - 1), read_at_once)
        for window in shape.windows
    )
    heads = shape.key_value_heads * shape.head_dim
    return 2 * positions * batch_size * heads * element_bytes(dtype)


def packed_cache_bytes(shape: ModelShape, dtype: str, batch: DecodingBatch) -> int:
    """Return the bytes of the default engine's cache.

    What prompts share is kept once, and each row has room for the rest of the longest prompt and
    its answer. Sliding windows make it no smaller.
    """
    positions = batch.shared_tokens + batch.batch_size * (batch.own_tokens + batch.new_tokens)
    width = shape.key_value_heads * shape.head_dim
    return 2 * shape.layers * positions * width * element_bytes(dtype)


def packed_working_bytes(shape: ModelShape, dtype: str, batch: DecodingBatch) -> int:
    """Return the peak memory of the default engine in addition to weights and cache.

    With T tokens in the largest pass and d bytes per element it is the larger half of a block and
    its norms as in :func:`working_bytes`, the logits that are held at once, and the attention
    scores of a layer to the longer of the shared and a row's own keys, once in d and twice in
    float32.
    """
    size, tokens = element_bytes(dtype), batch.largest_pass
    keys = max(batch.shared_tokens, batch.own_tokens + batch.new_tokens)
    scores = shape.heads * tokens * keys * (size + 2 * _FLOAT32)
    positions = min(positions_at_once(shape.vocabulary), tokens)
    return _block_bytes(shape, size, tokens) + scores + _logit_bytes(shape, size, positions)


def positions_at_once(vocabulary: int) -> int:
    """Return the positions at which the default engine scores the whole vocabulary at a time.

    Fewer would read the head's weights more often. A vocabulary of 50,000 has 320.
    """
    return max(_HEAD_POSITIONS, _HEAD_LOGITS // vocabulary)


def _block_bytes(shape: ModelShape, size: int, tokens: int) -> int:
    """Return the bytes of the larger half of a block, and of its norms in float32."""
    width = shape.heads * shape.head_dim
    attention = 4 * shape.hidden_size + 4 * width
    forward = 3 * shape.hidden_size + 3 * shape.intermediate_size
    return tokens * (size * max(attention, forward) + 2 * _FLOAT32 * shape.hidden_size)


def _logit_bytes(shape: ModelShape, size: int, positions: int) -> int:
    return positions * shape.vocabulary * (size + _LOGIT_COPIES * _FLOAT32)


def working_bytes(shape: ModelShape, dtype: str, batch: DecodingBatch) -> int:
    """Return the peak memory in addition to weights and cache, which occurs while reading prompts.

    With B rows, P prompt tokens and d bytes per element, it is the larger half of a block, the
    logits of the last position, and the attention mask:

        attention   B P d (4 hidden + 4 heads head_dim)   with keys and values for every head
        feed-forward   B P d (3 hidden + 3 intermediate)
        norms   2 B P hidden in float32
        logits   B vocabulary (d + 3 in float32)
        mask   B P (P + new tokens), one byte each

    Attention scores are never stored: torch's kernels work on tiles.
    """
    size, tokens = element_bytes(dtype), batch.batch_size * batch.prompt_tokens
    logits = _logit_bytes(shape, size, batch.batch_size)
    return _block_bytes(shape, size, tokens) + logits + tokens * batch.length


def gpus_needed(needs: Memory, gpu_memory: int, assumed: Assumptions | None = None) -> int | None:
    """Return the fewest GPUs of ``gpu_memory`` bytes that hold the model, None if none do.

    Several GPUs share it by layers, as the loader does: weights and cache are divided between
    complete layers, and every GPU needs the working memory and its own CUDA context.
    """
    assumed = assumed or planning().assumptions
    room = gpu_memory * (1 - assumed.fragmentation) - assumed.context_bytes - needs.working
    shared = needs.weights + needs.cache
    if shared <= room:
        return 1
    # Layers do not divide evenly: the fullest GPU may hold almost one more than its share.
    divided = room - shared / needs.layers
    if divided <= 0:
        return None
    by_weights = ceil(needs.weights / (gpu_memory * assumed.weights_share))
    count = max(2, ceil(shared / divided), by_weights)
    return count if count <= needs.layers else None


class Fit(NamedTuple):
    """The number of GPUs for a batch, and the batch that they hold."""

    gpus: int
    batch: DecodingBatch


def best_fit(
    shape: ModelShape, dtype: str, batch: DecodingBatch, free: Sequence[int]
) -> Fit | None:
    """Return the fewest GPUs that hold the batch or at least :data:`ENOUGH_ROWS` of its rows.

    The batch is halved until it fits, as decoding itself does. If all GPUs together hold fewer
    rows, those that hold most of them are returned; None if they do not hold even one.

    Args:
        shape: the model's.
        dtype: its dtype, or ``8bit``.
        batch: the requested batch.
        free: the free memory of each GPU in bytes.
    """
    ordered, best = sorted(free, reverse=True), None
    for count in range(1, len(ordered) + 1):
        fitting = _largest_batch(shape, dtype, batch, ordered[count - 1], count)
        if fitting and (best is None or fitting.batch_size > best.batch.batch_size):
            best = Fit(count, fitting)
            if fitting.batch_size >= min(ENOUGH_ROWS, batch.batch_size):
                return best
    return best


def _largest_batch(
    shape: ModelShape, dtype: str, batch: DecodingBatch, gpu_memory: int, gpus: int
) -> DecodingBatch | None:
    """Halve the batch until ``gpus`` GPUs hold it; None if they do not hold even one row."""
    rows = batch.batch_size
    while rows:
        smaller = replace(batch, batch_size=rows)
        count = gpus_needed(memory(shape, dtype, smaller), gpu_memory)
        if count is not None and count <= gpus:
            return smaller
        rows //= 2
    return None
