"""Digest a model's weights as loaded, which the digest of a file does not cover."""

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_SAMPLES = 4096


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
    # The sum of integers does not depend on the order, and so not on the number of threads.
    header = f"{tuple(parameter.shape)} {parameter.dtype} {int(bits.sum(dtype=torch.int64))} "
    return hashlib.sha256(header.encode() + sample.cpu().numpy().tobytes()).hexdigest()
