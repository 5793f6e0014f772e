"""Whether torch's flash kernel can be used, found out by its schema and a trial.

A list of GPUs and releases would be wrong with the next of either. Instead a few random rows are
attended to by the kernel and by the plain path: what the kernel refuses, or does otherwise than its
documentation says, shows there.
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import torch

from benchmark.decoding.speculative.attention import Mask, ScoreParameters
from benchmark.decoding.speculative.attention_plans import HeadCounts, visible
from benchmark.decoding.speculative.batch import Batch, RowSpan
from benchmark.decoding.speculative.cache import KeyValues, RaggedCache
from benchmark.decoding.speculative.flash_attention import (
    FlashKernel,
    Operator,
    plain_attention,
    plan_flash,
    whole_sequence,
)
from benchmark.errors import first_line
from benchmark.models.memory_errors import is_out_of_memory

FLASH = "flash kernel, merged by normalizers"
"""The kernel's name in a run's composition."""

_DTYPES = (torch.bfloat16, torch.float16)

_NAME = "_flash_attention_forward"
_ARGUMENTS = frozenset(
    {
        *("query", "key", "value", "cum_seq_q", "cum_seq_k", "max_q", "max_k"),
        *("dropout_p", "is_causal", "return_debug_mask"),
        *("scale", "window_size_left", "window_size_right", "seqused_k"),
    }
)

_TOLERANCE = 0.01
"""How far the kernel may be off in the trial, as a share of the outputs' root mean square.

Rounding to bfloat16 alone is 0.002. A single wrong key among the trial's is 0.1 or more.
"""

_PREFIX, _LENGTH, _SLOTS = 5, 12, 3
_ROWS = {"several tokens": ((2, 4, 3), (0, 1, 0), (1, 2, 6)), "one token": ((0, 1, 1), (2, 1, 7))}
"""The trial's passes: slot, number of tokens and position of the first, of each row."""


class AttentionChoice(NamedTuple):
    """The kernel of a layer, None for the plain path, and what a run's composition says of it.

    ``name`` is None on a CPU, where there is no choice.
    """

    kernel: FlashKernel | None
    name: str | None


class LayerKind(NamedTuple):
    """What decides whether the kernel takes a layer."""

    device: torch.device
    dtype: torch.dtype
    heads: HeadCounts
    width: int
    parameters: ScoreParameters


def operator(device: torch.device) -> Operator | None:
    """Return torch's operator if this kind of device has it; its schema is checked later."""
    if device.type != "cuda":
        return None
    function: Operator | None = getattr(torch.ops.aten, _NAME, None)
    return function


@cache
def attention_choice(kind: LayerKind) -> AttentionChoice:
    """Return how layers of a kind attend. The first call of a kind makes the trial.

    Raises:
        RuntimeError: if memory runs out in the trial.
    """
    function = operator(kind.device)
    if function is None and kind.device.type == "cpu":
        return AttentionChoice(None, None)
    reason = _reason(kind, function)
    if function is None or reason:
        return AttentionChoice(None, f"plain: {reason}")
    return AttentionChoice(FlashKernel(function), FLASH)


def _reason(kind: LayerKind, function: Operator | None) -> str | None:
    """Return why the kernel cannot be used, None if it can."""
    if kind.dtype not in _DTYPES:
        return str(kind.dtype).removeprefix("torch.")
    if kind.parameters.softcap is not None:
        return "soft cap"
    if function is None:
        return f"torch has no {_NAME}"
    if missing := _missing_arguments(function):
        return f"{_NAME} has no {', '.join(missing)}"
    return _failure(kind, FlashKernel(function))


def _failure(kind: LayerKind, kernel: FlashKernel) -> str | None:
    """Return why the kernel fails the trial, None if it does not."""
    try:
        worst = _largest([trial(kernel, kind, name) for name in _ROWS])
    except (RuntimeError, TypeError, ValueError) as error:
        if is_out_of_memory(error):
            raise
        return f"the kernel refuses these layers: {first_line(error)}"
    return None if worst <= _TOLERANCE else f"the kernel is {worst:.2g} off in a trial"


def _missing_arguments(function: Operator) -> list[str]:
    """Return the arguments that a release's operator lacks."""
    overload = getattr(function, "default", function)
    schema = getattr(overload, "_schema", None)
    if schema is None:  # not an operator of torch
        return []
    return sorted(_ARGUMENTS - {argument.name for argument in schema.arguments})


def trial(kernel: FlashKernel, kind: LayerKind, rows: str) -> float:
    """Return how far the kernel is off from the plain path in float32, relative to its outputs."""
    generator = torch.Generator().manual_seed(0)
    heads, device = kind.heads, kind.device

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, kind.width, generator=generator).to(device, kind.dtype)

    ragged_cache = RaggedCache(_SLOTS, _LENGTH)
    prefix = ragged_cache.store_prefix(0, draw(heads.keys, _PREFIX), draw(heads.keys, _PREFIX))
    batch = Batch(_PREFIX)
    for slot, count, position in _ROWS[rows]:
        batch.add(slot, position, [0] * count)
    plan = plan_flash(batch, ragged_cache, heads, kind.parameters.window, device)
    tokens = len(batch.tokens)
    stored = ragged_cache.store(0, draw(tokens, heads.keys), draw(tokens, heads.keys), plan.targets)
    for tensor in stored:
        tensor.copy_(draw(*tensor.shape[:3]))
    query = draw(tokens, heads.keys * heads.group)
    output = kernel.rows(query, stored, prefix, kind.parameters, plan)
    rows_apart = _apart(output, _expected(query, stored, prefix, kind, batch.spans))
    query = draw(_PREFIX, heads.keys * heads.group)
    output = kernel.causal(query, prefix, kind.parameters, whole_sequence(_PREFIX, device))
    span = RowSpan(0, 0, _PREFIX, 0)
    return _largest([rows_apart, _apart(output, _expected(query, prefix, None, kind, [span]))])


def _largest(values: Sequence[float]) -> float:
    """Return the largest value, NaN if there is one; ``max`` may drop it."""
    return torch.tensor(values).max().item()


def _expected(
    query: torch.Tensor,
    stored: KeyValues,
    prefix: KeyValues | None,
    kind: LayerKind,
    spans: Sequence[RowSpan],
) -> torch.Tensor:
    """Return attention in float32 by the plain path, span by span, shape of the queries."""
    outputs = []
    for slot, start, length, position in spans:
        end = position + length
        own = stored.view(slice(slot, slot + 1), end)
        seen = own if prefix is None else KeyValues(*map(_joined, prefix, own))
        total = seen.keys.shape[2]
        positions = torch.arange(total - length, total, device=query.device)[None]
        mask = Mask(visible(positions, total, kind.parameters.window))
        single = KeyValues(*(tensor.float() for tensor in seen))
        queries = query[start : start + length].float()
        outputs.append(plain_attention(queries, single, kind.parameters, mask).output)
    return torch.cat(outputs)


def _joined(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return torch.cat([one, other], dim=2)


def _apart(actual: torch.Tensor, expected: torch.Tensor) -> float:
    """Return the worst token's root mean square difference, relative to that of all outputs."""
    off = (actual.float() - expected).square().mean((1, 2)).amax().sqrt()
    return float(off / expected.square().mean().sqrt())
