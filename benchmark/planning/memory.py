"""How much memory a model takes while it decodes, and how many GPUs that makes.

All figures are bytes. They are forecasts from a model's shape: nothing is loaded.
"""

from dataclasses import dataclass, replace
from math import ceil

from benchmark.errors import SettingError
from benchmark.planning.planning import Assumptions, planning
from benchmark.planning.shape import ModelShape

EIGHT_BIT = "8bit"

_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, EIGHT_BIT: 2}
"""Of an activation, a key or a value; with 8 bit only weights are smaller."""

_FLOAT32 = 4
_SORTED = 3
"""Times that decoding holds a row of logits in float32: a copy, what the constraint makes of it,
and what is at work on that."""


@dataclass(frozen=True, slots=True)
class Use:
    """What is decoded at a time: rows, tokens of a prompt, and tokens that may follow it."""

    batch_size: int
    prompt_tokens: int
    new_tokens: int

    @property
    def length(self) -> int:
        """The positions of a row when it is as long as it may get."""
        return self.prompt_tokens + self.new_tokens


@dataclass(frozen=True, slots=True)
class Memory:
    """What a model takes, in bytes: weights and cache once, working memory on every GPU."""

    weights: int
    cache: int
    working: int
    layers: int

    @property
    def total(self) -> int:
        """All of it on one GPU, without the CUDA context."""
        return self.weights + self.cache + self.working


def memory(shape: ModelShape, dtype: str, use: Use) -> Memory:
    """What a model of this shape takes in this dtype (or ``8bit``) for this use."""
    return Memory(
        weights=weight_bytes(shape, dtype),
        cache=cache_bytes(shape, dtype, use.batch_size, use.length, use.prompt_tokens),
        working=working_bytes(shape, dtype, use),
        layers=shape.layers,
    )


def element_bytes(dtype: str) -> int:
    """The bytes of an element of an activation.

    Raises:
        SettingError: when there is no such dtype.
    """
    if dtype not in _BYTES:
        raise SettingError(f"no dtype {dtype!r}; choose one of {', '.join(_BYTES)}")
    return _BYTES[dtype]


def weight_bytes(shape: ModelShape, dtype: str) -> int:
    """The bytes of all parameters.

    In 8 bit, as bitsandbytes does, the linear layers within the blocks are int8 with a float32
    scale a row; embeddings, norms, biases and the head stay in 16 bit.
    """
    size = element_bytes(dtype)
    if dtype == EIGHT_BIT:
        return shape.linear + _FLOAT32 * shape.linear_rows + size * shape.other
    return size * shape.parameters


def cache_bytes(
    shape: ModelShape, dtype: str, batch_size: int, length: int, read_at_once: int = 0
) -> int:
    """The bytes of keys and values of so many rows of so many positions.

    A layer that sees a window keeps one position less than that: the newest is the query itself.
    But what it keeps of a prompt read at once is a view, and holds all of the prompt's memory
    until the next token.
    """
    kept = sum(
        length if window is None else max(min(length, window - 1), read_at_once)
        for window in shape.windows
    )
    return 2 * kept * batch_size * shape.key_value_heads * shape.head_dim * element_bytes(dtype)


def working_bytes(shape: ModelShape, dtype: str, use: Use) -> int:
    """The most that is alive beside weights and cache, while the prompts are read.

    With B rows, P prompt tokens, and d bytes an element, the larger of a block's two halves, the
    logits of the last position, and the attention mask:

        attention   B P d (4 hidden + 4 heads head_dim)   with keys and values for every head
        feed-forward   B P d (3 hidden + 3 intermediate)
        norms   2 B P hidden in float32
        logits   B vocabulary (d + 3 in float32)
        mask   B P (P + new tokens), one byte each

    The attention scores themselves are never held: the kernels of torch work on tiles.
    """
    size, rows = element_bytes(dtype), use.batch_size * use.prompt_tokens
    width = shape.heads * shape.head_dim
    attention = 4 * shape.hidden_size + 4 * width
    forward = 3 * shape.hidden_size + 3 * shape.intermediate_size
    block = rows * (size * max(attention, forward) + 2 * _FLOAT32 * shape.hidden_size)
    logits = use.batch_size * shape.vocabulary * (size + _SORTED * _FLOAT32)
    return block + logits + rows * use.length


def gpus_needed(needs: Memory, gpu_memory: int, assumed: Assumptions | None = None) -> int | None:
    """The fewest GPUs of so many bytes that hold the model, None when no number does.

    Several share it by layers, as the loader does: weights and cache are divided, a layer is not,
    and every GPU needs room for the working memory and its own CUDA context.
    """
    assumed = assumed or planning().assumptions
    room = gpu_memory * (1 - assumed.fragmentation) - assumed.context_bytes - needs.working
    shared = needs.weights + needs.cache
    if shared <= room:
        return 1
    # Layers do not divide evenly: the fullest GPU may hold nearly one more than its share.
    divided = room - shared / needs.layers
    if divided <= 0:
        return None
    by_weights = ceil(needs.weights / (gpu_memory * assumed.weights_share))
    count = max(2, ceil(shared / divided), by_weights)
    return count if count <= needs.layers else None


def fitting_use(shape: ModelShape, dtype: str, use: Use, gpu_memory: int, gpus: int) -> Use | None:
    """The use with its batch halved until so many GPUs hold it, as decoding itself does.

    None when they do not even hold one row.
    """
    rows = use.batch_size
    while rows:
        smaller = replace(use, batch_size=rows)
        count = gpus_needed(memory(shape, dtype, smaller), gpu_memory)
        if count is not None and count <= gpus:
            return smaller
        rows //= 2
    return None
