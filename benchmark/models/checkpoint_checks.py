"""Refuse checkpoints that transformers loads without an error but whose answers mean nothing.

Each check is for a kind of silent failure that public bug reports describe: weights that no module
takes, weights that are not finite, and models that are not causal language models.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice
from math import prod
from typing import TYPE_CHECKING

from benchmark.errors import RefusedModelError
from benchmark.models.configuration_checks import check_against_weights, check_settings
from benchmark.models.hardware import limit_kernel_caches
from benchmark.models.location import Location
from benchmark.models.model_files import weight_files
from benchmark.models.stored_tensors import StoredTensor, stored_tensors
from benchmark.models.unused_tensors import check_buffers, harmless_kind
from benchmark.reading.documents import read_json

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_NAMED = 3
"""The number of tensors that a message names."""

_FLOATS = ("F64", "F32", "F16", "BF16")
"""The types of safetensors that are weights as they are, without scales."""

_TOLERANCE = {8: 1e-6, 4: 1e-3, 2: 0.005}
"""The largest change of logits that is rounding, relative to their range, by bytes per element.

Two texts of one batch are computed alike: the control models, SmolLM2, Gemma 3 270M and small
mixtures of experts change by exactly 0 in every dtype. Rounding in a pass of another shape is up to
0.003 in 16 bit with texts of 4 tokens.
"""

_PROBE_LENGTH = 4
"""The tokens of the texts that :func:`check_causal` compares."""


def check_configuration(location: Location) -> None:
    """Check that a folder's configuration is of a causal language model, before loading weights.

    Raises:
        RefusedModelError: for another architecture, such as that of a classifier or an
            encoder-decoder model.
    """
    check_settings(location)
    if not location.gguf:
        stored = [t for path in weight_files(location.folder) for t in stored_tensors(path)]
        check_against_weights(location, stored)
    path = location.folder / "config.json"
    config = read_json(path, strict=False) if path.exists() else {}
    architectures = config.get("architectures")
    names = [str(name) for name in architectures] if isinstance(architectures, list) else []
    if config.get("is_encoder_decoder") is True:
        raise RefusedModelError(
            f"{location.name}: config.json has is_encoder_decoder, so it is not a causal language "
            "model"
        )
    if names and not any(map(_is_causal_class, names)):
        raise RefusedModelError(
            f"{location.name}: config.json names the architecture {', '.join(names)}, which is not "
            "a causal language model; give a model of a class such as LlamaForCausalLM"
        )


def check_tensors(location: Location, unexpected: Iterable[str], model: "PreTrainedModel") -> None:
    """Check that the model uses all tensors of its checkpoint, and that they are its weights.

    ``unexpected`` has the names of tensors that no module has taken.

    Raises:
        RefusedModelError: naming tensors that are not used, or whose scales are missing.
    """
    unused = sorted(name for name in unexpected if harmless_kind(name) is None)
    if unused:
        raise RefusedModelError(
            f"{location.name}: {_listed(unused)} of the checkpoint would not be used, so the "
            "model would not be the one that was trained; merge adapters, dequantize weights with "
            "scales, and check that config.json belongs to these files"
        )
    if location.gguf:
        _check_gguf_is_used(location, model)
        return
    stored = [t for path in weight_files(location.folder) for t in stored_tensors(path)]
    if not _is_prequantized(model):
        _check_stored_types(location.name, stored, model)
    taken = _Names(model.state_dict())
    check_buffers(location.name, [t for t in stored if t.name not in taken], model)


def check_finite(name: str, model: "PreTrainedModel") -> None:
    """Check that all weights are finite.

    Raises:
        RefusedModelError: naming the tensors that have NaN or infinite values.
    """
    bad = [tensor_name for tensor_name, tensor in _weights(model) if not _is_finite(tensor)]
    if bad:
        raise RefusedModelError(
            f"{name}: {_listed(bad)} {_are(bad)} not finite (NaN or infinite); the file is "
            "damaged, or its values overflow in this dtype: try --dtype float32 or bfloat16"
        )


def check_causal(name: str, model: "PreTrainedModel") -> None:
    """Check that the logits of a token do not depend on later tokens.

    Raises:
        RefusedModelError: if they do, or the model has no logits.
    """
    change, dtype_bytes = future_dependence(name, model)
    if change > _TOLERANCE[dtype_bytes]:
        raise RefusedModelError(
            f"{name}: the logits of a token depend on the tokens after it (by {change:.2g} of "
            "their range), so it is not a causal language model; check is_decoder and attention "
            "settings in config.json"
        )


def future_dependence(name: str, model: "PreTrainedModel") -> tuple[float, int]:
    """Return by how much a later token changes the logits, and the bytes of one logit.

    The largest change is relative to the largest distance of a logit from their mean. It is NaN if
    logits are not finite, a fault of its own, which decoding reports with its place.

    Raises:
        RefusedModelError: if the model has no logits for each token.
    """
    import torch

    limit_kernel_caches()  # the first product reads their capacity
    rows = model.get_input_embeddings().weight.shape[0]
    ids = torch.tensor([[(7 + 37 * i) % rows for i in range(_PROBE_LENGTH)]] * 2)
    ids[1, -1] = (ids[0, -1] + rows // 2) % rows
    with torch.inference_mode():
        logits = getattr(model(ids.to(model.device), use_cache=False), "logits", None)
    if logits is None or logits.shape[:2] != ids.shape:
        raise RefusedModelError(
            f"{name}: it has no logits for each token, so it is not a language model"
        )
    earlier = logits[:, :-1].double()
    change, size = (earlier[0] - earlier[1]).abs().max(), (earlier - earlier.mean()).abs().max()
    return (change / size).item() if change else 0.0, logits.element_size()


@cache
def _causal_classes() -> frozenset[str]:
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    names: set[str] = set()
    for entry in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values():
        names.update([entry] if isinstance(entry, str) else entry)
    return frozenset(name.casefold() for name in names)


def _is_causal_class(name: str) -> bool:
    folded = name.casefold()
    return folded in _causal_classes() or folded.endswith(("forcausallm", "lmheadmodel"))


def _check_gguf_is_used(location: Location, model: "PreTrainedModel") -> None:
    """Refuse a GGUF file with more weights than the model.

    The older of transformers' two readers skips tensors that it does not know, and reports nothing.
    """
    try:
        from transformers.integrations.gguf.reader import GgufHeader

        header = GgufHeader.from_file(str(location.folder / (location.gguf or "")))
    except (ImportError, ValueError):  # a release without this reader, or a type unknown to it
        return
    stored = sum(prod(tensor.shape) for tensor in header.tensors)
    loaded = sum(tensor.numel() for _, tensor in _weights(model))
    if stored > loaded:
        raise RefusedModelError(
            f"{location.name}: the GGUF file has {stored:,} weights, of which only {loaded:,} "
            "would be used; this release of transformers does not know all of its tensors"
        )


def _is_prequantized(model: "PreTrainedModel") -> bool:
    """Return whether transformers reads the stored weights with their scales."""
    quantizer = getattr(model, "hf_quantizer", None)
    return bool(getattr(quantizer, "pre_quantized", False))


def _check_stored_types(
    name: str, stored: Iterable[StoredTensor], model: "PreTrainedModel"
) -> None:
    """Refuse weights that are stored as integers or in 8 bit without the names of their scales.

    Names in a file may differ from those of the model, so all its tensors are checked, except for
    those that the model itself has as integers.
    """
    integers = _Names(n for n, t in model.state_dict().items() if not t.is_floating_point())
    quantized = {
        tensor.name: tensor.dtype
        for tensor in stored
        if tensor.dtype not in _FLOATS
        and harmless_kind(tensor.name) is None
        and tensor.name not in integers
    }
    if quantized:
        names, kinds = sorted(quantized), ", ".join(sorted(set(quantized.values())))
        raise RefusedModelError(
            f"{name}: {_listed(names)} {_are(names)} stored as {kinds}, but config.json has no "
            "quantization_config that transformers uses, so their scales are missing; give "
            "unquantized weights"
        )


class _Names:
    """Names of tensors; a stored name is among them with or without the model's prefix."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)
        self._ends = frozenset(end for name in self._names for end in _ends(name))

    def __contains__(self, name: str) -> bool:
        return name in self._ends or any(end in self._names for end in _ends(name))


def _ends(name: str) -> Iterator[str]:
    """Yield a name without its first parts: ``a.b.c``, ``b.c``; the last part alone says little."""
    parts = name.split(".")
    yield name
    yield from (".".join(parts[start:]) for start in range(1, len(parts) - 1))


def _weights(model: "PreTrainedModel") -> Iterator[tuple[str, "torch.Tensor"]]:
    """Yield all parameters and saved buffers; tied ones once."""
    seen: set[int] = set()
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and tensor.numel() and tensor.data_ptr() not in seen:
            seen.add(tensor.data_ptr())
            yield name, tensor


def _is_finite(tensor: "torch.Tensor") -> bool:
    import torch

    if tensor.element_size() == 1:  # aminmax is not defined for 8 bit
        tensor = tensor.float()
    # NaN propagates to both. No copy of the tensor is made, unlike with isfinite.
    smallest, largest = torch.aminmax(tensor.detach())
    return bool(torch.isfinite(smallest)) and bool(torch.isfinite(largest))


def _listed(names: list[str]) -> str:
    """Return the number of tensors with the first names: ``2 tensors (a, b)``."""
    shown = ", ".join(islice(names, _NAMED)) + (", ..." if len(names) > _NAMED else "")
    return f"the tensor {shown}" if len(names) == 1 else f"{len(names)} tensors ({shown})"


def _are(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"
