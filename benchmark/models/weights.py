"""Digest a model's weights as loaded, which the digest of a file does not cover."""

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_SAMPLES = 4096

_BLOCK = 2**24
"""Numbers that are added up at a time: 128 MiB as int64."""


def weights_digest(model: "PreTrainedModel") -> str:
    """Return a digest of every parameter's shape, dtype and values.

    Names and order are not part of it, because they differ between releases of transformers. The
    values enter as the exact sum of their bits, and as 4,096 evenly spaced ones.
    """
    distinct = {p.data_ptr(): p for p in model.parameters()}  # tied ones once
    digests = sorted(_digest(parameter.detach()) for parameter in distinct.values())
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:12]


def _digest(parameter: "torch.Tensor") -> str:
    import torch

    flat = parameter.reshape(-1)
    sizes = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    bits = flat.view(sizes[flat.element_size()])
    sample = bits[:: max(1, len(bits) // _SAMPLES)]
    # torch copies what it adds up as int64: of an embedding of 800 million numbers 6 GB.
    starts = range(0, len(bits), _BLOCK)
    sums = [int(bits[start : start + _BLOCK].sum(dtype=torch.int64)) for start in starts]
    # As the sum of a whole, in int64. It does not depend on the order, nor on the threads.
    header = f"{tuple(parameter.shape)} {parameter.dtype} {_wrapped(sum(sums))} "
    return hashlib.sha256(header.encode() + sample.cpu().numpy().tobytes()).hexdigest()


def _wrapped(total: int) -> int:
    """Return a sum as a signed number of 64 bits, which overflows."""
    return (total + 2**63) % 2**64 - 2**63
