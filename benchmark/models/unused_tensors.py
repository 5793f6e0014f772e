"""Decide which tensors of a checkpoint may be left unused.

The list is ``harmless_tensors.toml``. A buffer of an older release is harmless only if it has the
values that this release computes: others change scores, and are refused.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Literal

from pydantic import TypeAdapter

from benchmark.errors import RefusedModelError
from benchmark.models.stored_tensors import StoredTensor, read_tensors
from benchmark.models.validation import Entry
from benchmark.package_data import package_toml

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_FREQUENCIES = "inv_freq"
"""The end of the names of buffers with frequencies of rotary embeddings."""

_ULPS = 4
"""How far stored frequencies may be from computed ones, in roundings of the coarser type."""


class HarmlessTensor(Entry):
    """A kind of unused tensor that is harmless: a pattern of names, and the reason.

    ``content`` says which values the tensor must have; without it, any.
    """

    pattern: str
    why: str
    content: Literal["frequencies", "positions", "mask", "one number"] | None = None


@cache
def harmless_tensors() -> tuple[HarmlessTensor, ...]:
    """Return the kinds of unused tensors that are not refused."""
    entries = package_toml("models/harmless_tensors.toml")["harmless"]
    return TypeAdapter(tuple[HarmlessTensor, ...]).validate_python(entries)


def harmless_kind(name: str) -> HarmlessTensor | None:
    """Return the first kind of harmless tensor that has this name, None for another tensor."""
    return next((kind for kind in harmless_tensors() if re.search(kind.pattern, name)), None)


def check_buffers(name: str, stored: Iterable[StoredTensor], model: "PreTrainedModel") -> None:
    """Check that buffers on the list of harmless tensors have the values that are computed.

    ``stored`` has all tensors of its files.

    Raises:
        RefusedModelError: naming the first buffer with other values.
    """
    contents: dict[StoredTensor, str] = {}
    for tensor in stored:
        kind = harmless_kind(tensor.name)
        if kind and kind.content:
            contents[tensor] = kind.content
    computed = list(_frequencies(model)) if "frequencies" in contents.values() else []
    for path in sorted({tensor.file for tensor in contents}):
        kinds = {tensor.name: kind for tensor, kind in contents.items() if tensor.file == path}
        for tensor_name, values in sorted(read_tensors(path, kinds).items()):
            if not _is_as_computed(values, kinds[tensor_name], computed):
                raise RefusedModelError(
                    f"{name}: the tensor {tensor_name} of {path.name} would not be used, but has "
                    f"other values than the {kinds[tensor_name]} that config.json implies; check "
                    "that it belongs to these weights (rope_theta, rope_scaling)"
                )


def _is_as_computed(values: "torch.Tensor", kind: str, computed: list["torch.Tensor"]) -> bool:
    if kind == "frequencies":
        return any(_are_close(values, frequencies) for frequencies in computed)
    if kind == "positions":
        return values.flatten().tolist() == list(range(values.numel()))
    return values.numel() == 1 if kind == "one number" else _is_mask(values)


def _frequencies(model: "PreTrainedModel") -> Iterator["torch.Tensor"]:
    """Yield the frequencies that the model computes, and linearly scaled ones without the scale.

    Older releases scaled positions, not frequencies, which is the same.
    """
    scale = _linear_scale(model.config.get_text_config())
    for name, buffer in model.named_buffers():
        if name.endswith(_FREQUENCIES):
            yield buffer.detach().cpu()
            if scale != 1:
                yield buffer.detach().cpu() * scale


def _linear_scale(config: object) -> float:
    for name in ("rope_parameters", "rope_scaling"):
        match getattr(config, name, None):
            case {"rope_type": "linear", "factor": int() | float() as factor}:
                return float(factor)
    return 1.0


def _are_close(stored: "torch.Tensor", computed: "torch.Tensor") -> bool:
    import torch

    if stored.shape != computed.shape or not stored.is_floating_point():
        return False
    types = [torch.finfo(tensor.dtype) for tensor in (stored, computed)]
    relative = _ULPS * max(info.eps for info in types)
    smallest = _ULPS * max(info.smallest_normal * info.eps for info in types)
    return torch.allclose(stored.double(), computed.double(), rtol=relative, atol=smallest)


def _is_mask(values: "torch.Tensor") -> bool:
    """Return whether the values are a causal mask: 0 after each position, 1 at it, 0 or 1 before.

    The mask of local attention has zeros far before a position.
    """
    import torch

    square = values.reshape(-1, *values.shape[-2:]) if values.dim() > 1 else values[None, None]
    if square.shape[-2] != square.shape[-1]:
        return False
    later = torch.triu(square.float(), diagonal=1)
    is_binary = ((square == 0) | (square == 1)).all()
    diagonal = torch.diagonal(square, dim1=-2, dim2=-1)
    return bool(is_binary) and not later.any() and bool((diagonal == 1).all())
