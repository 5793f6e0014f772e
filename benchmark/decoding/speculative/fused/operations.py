"""The kernels on torch's tensors; import it only with Numba."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import torch

from benchmark.decoding.speculative.attention import ScoreParameters
from benchmark.decoding.speculative.batch import Batch, RowSpan
from benchmark.decoding.speculative.cache import KeyValues, RaggedCache
from benchmark.decoding.speculative.fused import kernels, tile_attention, vector_attention
from benchmark.decoding.speculative.fused.tiles import DEPTH, can_use_tiles
from benchmark.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

DTYPES = (torch.float32, torch.bfloat16)

_TOKENS_PER_ITEM = 16
"""Longer spans are split, so that threads have about the same work."""

_UNLIMITED = 2**31
"""A window that is longer than any sequence."""


@dataclass(frozen=True, slots=True)
class FusedPlan:
    """A pass as arrays for :func:`vector_attention.attend` and :func:`tile_attention.attend`.

    ``tokens`` is how many tokens of the pass are in a sequence; padding may follow. ``slots`` and
    ``length`` are those that a cache needs at least.
    """

    writes: "NDArray[np.int64]"
    items: "NDArray[np.int64]"
    bundles: "NDArray[np.int64]"
    tokens: int
    slots: int
    length: int


def plan_fused(batch: Batch, threads: int) -> FusedPlan:
    """Return the plan of a batch for this number of threads."""
    pieces = [piece for span in batch.spans for piece in _split(span)]
    pieces.sort(key=lambda piece: _work(piece, batch.prefix), reverse=True)
    # Each thread takes neighbouring items. Of two threads, one gets the first, third, fifth piece.
    dealt = [piece for thread in range(threads) for piece in pieces[thread::threads]]
    return FusedPlan(
        _table(batch.writes, 3),
        _table(dealt, 4),
        _bundles(dealt),
        sum(span.length for span in batch.spans),
        max((write.slot + 1 for write in batch.writes), default=0),
        max((write.position + 1 for write in batch.writes), default=0),
    )


def _table(rows: Sequence[tuple[int, ...]], width: int) -> "NDArray[np.int64]":
    """Return rows of numbers as an array, about ten times as fast as ``np.array`` does."""
    numbers = np.fromiter(chain.from_iterable(rows), np.int64)
    return numbers.reshape(len(rows), width)


def _split(span: RowSpan) -> list[RowSpan]:
    """Return the span in pieces of at most :data:`_TOKENS_PER_ITEM` tokens.

    Tokens 10 to 29 at positions 5 to 24 of slot 3 are (3, 10, 16, 5) and (3, 26, 4, 21).
    """
    return [
        RowSpan(
            span.slot,
            span.start + first,
            min(_TOKENS_PER_ITEM, span.length - first),
            span.position + first,
        )
        for first in range(0, span.length, _TOKENS_PER_ITEM)
    ]


def _bundles(pieces: Sequence[RowSpan]) -> "NDArray[np.int64]":
    """Return the number of the first piece of each bundle, and that of all pieces.

    A bundle has at most :data:`_TOKENS_PER_ITEM` tokens. Pieces of 8, 7, 3 and 16 tokens are three:
    0, 2, 3, 4.
    """
    bounds, tokens = [0] if pieces else [], 0
    for number, piece in enumerate(pieces):
        tokens += piece.length
        if tokens > _TOKENS_PER_ITEM and number > bounds[-1]:
            bounds.append(number)
            tokens = piece.length
    return np.array([*bounds, len(pieces)], np.int64)


def _work(span: RowSpan, prefix: int) -> int:
    return span.length * (prefix + span.position + span.length)


def _start_threads() -> None:
    """Start Numba's threads, which sets the number of torch's too, and restore that."""
    before = torch.get_num_threads()
    numba.get_num_threads()
    torch.set_num_threads(before)


_start_threads()


def use_threads() -> None:
    """Let the kernels use as many threads as torch does, in the calling thread."""
    numba.set_num_threads(thread_count())


def thread_count() -> int:
    """Return how many threads the kernels can use of those that torch uses."""
    return min(torch.get_num_threads(), int(numba.config.NUMBA_NUM_THREADS))


@dataclass(frozen=True, slots=True)
class Norm:
    """A norm by root mean square; the arguments are those of :func:`kernels.normalize`."""

    weight: torch.Tensor
    epsilon: float
    adds_one: bool
    rounds: bool

    def normalize(self, states: torch.Tensor) -> torch.Tensor:
        """Return the norm of states of shape (..., width)."""
        states = states.contiguous()
        out = torch.empty_like(states)
        kernels.normalize(_rows(states), *self._arguments(), _rows(out))
        return out

    def add_and_normalize(self, states: torch.Tensor, changes: torch.Tensor) -> torch.Tensor:
        """Return the norm of the sums, which take the place of the changes.

        Both have shape (..., width); the changes are contiguous.
        """
        out = torch.empty_like(changes)
        kernels.add_and_normalize(
            _rows(states.contiguous()), _rows(changes), *self._arguments(), _rows(out)
        )
        return out

    def _arguments(self) -> tuple["NDArray[Any]", np.float32, bool, bool]:
        return _array(self.weight), np.float32(self.epsilon), self.adds_one, self.rounds


def gate(gates: torch.Tensor, ups: torch.Tensor, *, is_gelu: bool) -> torch.Tensor:
    """Return :func:`kernels.gate`, in place of the gates if these are contiguous."""
    gates = gates.contiguous()
    kernels.gate(_rows(gates), _rows(ups.contiguous()), is_gelu)
    return gates


def rotate(
    queries: torch.Tensor, keys: torch.Tensor, cosines: torch.Tensor, sines: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return rotated queries and keys, shape (1, heads, tokens, head dimension) each.

    ``cosines`` and ``sines`` have shape (1, tokens, head dimension).
    """
    flat = [tensor[0].transpose(0, 1).contiguous() for tensor in (queries, keys)]
    out = [torch.empty_like(tensor) for tensor in flat]
    angles = [tensor[0].contiguous() for tensor in (cosines, sines)]
    kernels.rotate(*map(_array, [*flat, *angles, *out]))
    query, key = (tensor.transpose(0, 1)[None] for tensor in out)
    return query, key


def uses_tiles(query: torch.Tensor, parameters: ScoreParameters) -> bool:
    """Return whether attention from these queries is computed by AMX's tiles."""
    fills_tiles = query.dtype == torch.bfloat16 and query.shape[-1] % DEPTH == 0
    return fills_tiles and parameters.scaling > 0 and can_use_tiles()


def attend(
    query: torch.Tensor,
    new: KeyValues,
    cache: RaggedCache,
    layer: int,
    plan: FusedPlan,
    parameters: ScoreParameters,
) -> torch.Tensor:
    """Return attention to the prefix and the slots, shape (tokens, heads, head dimension).

    Args:
        query: shape (tokens, heads, head dimension), contiguous.
        new: the pass's keys and values, shape (tokens, key heads, head dimension) each.
        cache: the prefix and the slots; the slots get the pass's keys and values.
        layer: the number of the layer.
        plan: the pass.
        parameters: how keys are scored; without a soft cap.
    """
    heads = new.keys.shape[1]
    if (
        new.keys.shape != new.values.shape
        or new.keys.shape[2] != query.shape[2]
        or query.shape[1] % heads
        or not query.dtype == new.keys.dtype == new.values.dtype
    ):
        raise _refusal()
    kernel: Callable[..., None]
    if uses_tiles(query, parameters):
        kernel = partial(tile_attention.attend, plan.bundles)
        forms = cache.in_pairs, cache.prefix_in_pairs
    else:
        kernel = vector_attention.attend
        forms = cache.in_blocks, cache.prefix_in_blocks
    stored, prefix = (form(layer, heads, new.keys) for form in forms)
    if plan.slots > len(stored.values) or plan.length > _tokens(stored):
        raise _refusal()
    if cache.prefix_length(layer) > _tokens(prefix):
        raise _refusal()
    out = torch.empty_like(query)
    out[plan.tokens :] = 0
    kernel(
        _array(query),
        _array(new.keys.contiguous()),
        _array(new.values.contiguous()),
        plan.writes,
        plan.items,
        _array(stored.keys),
        _array(stored.values),
        np.float32(parameters.scaling),
        parameters.window or _UNLIMITED,
        _array(prefix.keys[0]),
        _array(prefix.values[0]),
        cache.prefix_length(layer),
        _array(out),
    )
    return out


def _tokens(blocks: KeyValues) -> int:
    """Return how many tokens the blocks of a sequence have room for."""
    return blocks.keys.shape[2] * blocks.keys.shape[4]


def _refusal() -> ModelError:
    return ModelError("its keys and values are not of the kind that the kernels take")


class AllowedTokens:
    """Sets of tokens, as the kernel takes them, which reads what they name without a check."""

    def __init__(self, sets: Sequence[torch.Tensor]) -> None:
        """Take the sets in the order of their numbers, each in ascending order."""
        self._lengths = [len(tokens) for tokens in sets]
        self._starts = np.concatenate([[0], np.cumsum(self._lengths)]).astype(np.int64)
        self._tokens = np.concatenate([tokens.numpy().astype(np.int64) for tokens in sets])
        self._vocabulary = int(self._tokens.max(initial=-1)) + 1

    def choose(self, logits: torch.Tensor, sets: Sequence[int], not_finite: int) -> torch.Tensor:
        """Return :func:`kernels.choose` of logits, shape (positions, vocabulary)."""
        if self._vocabulary > logits.shape[1] or not all(self._lengths[one] for one in sets):
            raise IndexError(f"allowed tokens beyond {logits.shape[1]} logits, or none")
        out = torch.empty(len(sets), dtype=torch.int64)
        numbers = np.array(sets, np.int64)
        kernels.choose(
            _array(logits.contiguous()),
            numbers,
            self._starts,
            self._tokens,
            not_finite,
            _array(out),
        )
        return out


def _rows(tensor: torch.Tensor) -> "NDArray[Any]":
    """Return a contiguous tensor's memory as an array of rows."""
    return _array(tensor.view(-1, tensor.shape[-1]))


def _array(tensor: torch.Tensor) -> "NDArray[Any]":
    """Return a contiguous tensor's memory as an array; of bfloat16 numbers the bits."""
    return tensor.view(torch.uint16).numpy() if tensor.dtype == torch.bfloat16 else tensor.numpy()
