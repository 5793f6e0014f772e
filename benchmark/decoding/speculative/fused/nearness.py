"""Whether a kernel has a layer's results, but for rounding."""

import torch

_ROUNDINGS = 8
"""How many units of rounding a kernel may be off, of a result and its row's root mean square."""


def is_near(result: torch.Tensor, expected: torch.Tensor) -> bool:
    """Return whether two tensors of shape (..., width) are equal but for some roundings."""
    if result.shape != expected.shape or result.dtype != expected.dtype:
        return False
    wide = expected.float()
    apart = (result.float() - wide).abs()
    size = wide.abs() + wide.square().mean(-1, keepdim=True).sqrt()
    return bool((apart <= _ROUNDINGS * torch.finfo(expected.dtype).eps * size).all())
