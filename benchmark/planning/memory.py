"""Forecast the memory of a model while it decodes, and the number of GPUs it needs.

All figures are bytes, computed from the model's shape without loading it.
"""

from dataclasses import dataclass, replace
from math import ceil

from benchmark.errors import SettingError
from benchmark.planning.planning import Assumptions, planning
from benchmark.planning.shape import ModelShape

EIGHT_BIT = "8bit"

_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, EIGHT_BIT: 2}
"""Bytes per element of activations, keys and values; 8 bit makes only the weights smaller."""

_FLOAT32 = 4
_LOGIT_COPIES = 3
"""Copies of a row of logits in float32: the logits, the masked ones, and a temporary."""


@dataclass(frozen=True, slots=True)
class DecodingBatch:
    """A batch to decode: rows, tokens per prompt, and the limit of new tokens per row."""

    batch_size: int
    prompt_tokens: int
    new_tokens: int

    @property
    def length(self) -> int:
        """The largest number of positions in a row."""
        return self.prompt_tokens + self.new_tokens


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
    return Memory(
        weights=weight_bytes(shape, dtype),
        cache=cache_bytes(shape, dtype, batch.batch_size, batch.length, batch.prompt_tokens),
        working=working_bytes(shape, dtype, batch),
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
    width = shape.heads * shape.head_dim
    attention = 4 * shape.hidden_size + 4 * width
    forward = 3 * shape.hidden_size + 3 * shape.intermediate_size
    block = tokens * (size * max(attention, forward) + 2 * _FLOAT32 * shape.hidden_size)
    logits = batch.batch_size * shape.vocabulary * (size + _LOGIT_COPIES * _FLOAT32)
    return block + logits + tokens * batch.length


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


def largest_fitting_batch(
    shape: ModelShape, dtype: str, batch: DecodingBatch, gpu_memory: int, gpus: int
) -> DecodingBatch | None:
    """Halve the batch size until ``gpus`` GPUs hold the batch, as decoding itself does.

    Returns None if they do not hold even one row.
    """
    rows = batch.batch_size
    while rows:
        smaller = replace(batch, batch_size=rows)
        count = gpus_needed(memory(shape, dtype, smaller), gpu_memory)
        if count is not None and count <= gpus:
            return smaller
        rows //= 2
    return None
