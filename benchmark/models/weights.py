"""Weights as they were loaded, as one digest: what a file's digest says nothing of."""

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_SAMPLES = 4096


def weights_digest(model: "PreTrainedModel") -> str:
    """A digest of every parameter's shape, dtype and values; of names and order it knows nothing.

    Releases of transformers name and order parameters otherwise. Of the values it takes the exact
    sum of their bits and some thousand of them, spread evenly.
    """
    own = {each.data_ptr(): each for each in model.parameters()}  # tied ones once
    parts = sorted(_digest(each.detach()) for each in own.values())
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:12]


def _digest(parameter: "torch.Tensor") -> str:
    import torch

    flat = parameter.reshape(-1)
    sizes = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    bits = flat.view(sizes[flat.element_size()])
    some = bits[:: max(1, len(bits) // _SAMPLES)]
    # Whole numbers: no order of summing, and so no number of threads, changes the sum.
    words = f"{tuple(parameter.shape)} {parameter.dtype} {int(bits.sum(dtype=torch.int64))} "
    return hashlib.sha256(words.encode() + some.cpu().numpy().tobytes()).hexdigest()
