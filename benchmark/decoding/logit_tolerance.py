"""The rule that tells rounding from a real difference between two computations of logits.

A trial runs a short text in two ways that must agree. Anything that only one of them does changes
the logits by far more than rounding.
"""

import torch

from benchmark.errors import SettingError

_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.2, torch.float16: 0.05}
"""The largest difference of logits that rounding explains, in standard deviations of the logits.

In float32 it bounds the largest difference. In 16 bit it bounds the root mean square: of a million
logits of SmolLM2 in bfloat16 the worst is 0.5 off by rounding alone, the root mean square 0.05.
"""

_TOKEN_FACTOR = 1.5
"""In 16 bit the root mean square of a single token may be this many times the tolerance.

SmolLM2's worst token is 0.17 off. A feature that one of the ways lacks changes the logits of the
tokens it concerns; a missing window, for example, only those beyond it.
"""

TRIED_DTYPES = frozenset(_TOLERANCE)
"""The dtypes for which a tolerance is defined."""


def dtype_named(name: str) -> torch.dtype:
    """Return the dtype of that name.

    Raises:
        SettingError: if no tolerance is defined for it.
    """
    dtypes = {str(dtype).removeprefix("torch."): dtype for dtype in TRIED_DTYPES}
    if name not in dtypes:
        raise SettingError(f"unknown dtype {name!r}; choose one of {', '.join(sorted(dtypes))}")
    return dtypes[name]


_SIDES = 2
"""A margin is the difference of two logits, and rounding moves both."""


def margin_floor(*dtypes: torch.dtype) -> float:
    """Return the largest margin that rounding explains, in standard deviations of the logits.

    Two computations of the same logits, in these dtypes, choose differently by rounding only if
    the two tokens are that near to each other.

    Args:
        dtypes: those of the two computations, among :data:`TRIED_DTYPES`; the coarser one counts.
    """
    return _SIDES * max(_TOLERANCE[dtype] for dtype in dtypes)


def deviation(expected: torch.Tensor, actual: torch.Tensor, dtype: torch.dtype) -> float | None:
    """Return how far logits are off, in standard deviations; None if rounding explains it.

    Args:
        expected: finite logits, shape (tokens, vocabulary).
        actual: the same, computed in another way.
        dtype: the dtype that both were computed in, one of :data:`TRIED_DTYPES`.
    """
    off = (expected.float() - actual.float()) / expected.float().std()
    if dtype == torch.float32:
        apart = off.abs().max().item()
    else:
        squares = off.square().mean(-1)
        apart = max(squares.mean().sqrt().item(), squares.max().sqrt().item() / _TOKEN_FACTOR)
    return None if apart <= _TOLERANCE[dtype] else apart


def rounding_bound(dtype: torch.dtype) -> float:
    """Return the difference of a log-probability, in nats, that rounding explains.

    It is the tolerance of logits whose standard deviation is 1. Those of language models have one
    of 2 or more, so that the bound is strict.

    Args:
        dtype: one of :data:`TRIED_DTYPES`.
    """
    return _TOLERANCE[dtype]
