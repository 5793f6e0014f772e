"""Where the layers of a model go: on one GPU if it holds them, else on as few as do."""

from collections.abc import Mapping
from math import prod

from benchmark.models.gpus import GpuUse, gpu_numbers, gpu_uses, gpus
from benchmark.models.location import Location
from benchmark.models.stored_tensors import stored_tensors

_WEIGHTS_SHARE = 0.9
"""The share of a GPU's free memory for weights; the rest is for the cache and the kernels."""

_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "8bit": 1.1}
"""Bytes per weight; 8 bit has scales, and keeps embeddings and head in 16 bit."""

_PACKED = 4
"""A GGUF file stores a weight in 16 bits or in about a quarter of that."""


def device_map(location: Location, device: str, dtype: str) -> dict[str, object]:
    """Return the arguments of transformers that place a model on a device.

    ``cuda`` is the fewest GPUs whose free memory holds the weights: layers that are spread over
    several run one after the other. ``dtype`` may be ``8bit``.
    """
    if device != "cuda" and "," not in device:
        return {"device_map": {"": device}}
    visible, numbers = gpus(), gpu_numbers(device)
    if device == "cuda":  # results are of one kind of GPU, which is named after the first
        numbers = tuple(n for n in numbers if visible[n].name == visible[numbers[0]].name)
    uses = gpu_uses(visible, numbers)
    if device == "cuda":
        numbers = fewest(uses, weight_bytes(location, dtype))
    if len(numbers) == 1:
        return {"device_map": {"": f"cuda:{numbers[0]}"}}
    # Only GPUs are listed, so that no layer is silently placed on the CPU or on disk.
    return {"device_map": "auto", "max_memory": {n: room(uses[n]) for n in numbers}}


def room(use: GpuUse) -> int:
    """Return the bytes for weights on a GPU."""
    return int(use.free * _WEIGHTS_SHARE)


def fewest(uses: Mapping[int, GpuUse], size: float) -> tuple[int, ...]:
    """Return the fewest GPUs that hold ``size`` bytes of weights, those with most room first.

    All GPUs are returned if they do not hold them together: loading then says so.
    """
    ordered = sorted(uses, key=lambda n: (-uses[n].free, n))
    held = 0
    for count, number in enumerate(ordered, start=1):
        held += room(uses[number])
        if held >= size:
            return tuple(sorted(ordered[:count]))
    return tuple(sorted(ordered))


def weight_bytes(location: Location, dtype: str) -> float:
    """Return the bytes of the weights in a dtype, by their files; of GGUF an upper bound."""
    if location.safetensors:
        tensors = [tensor for path in location.weights for tensor in stored_tensors(path)]
        return _BYTES[dtype] * sum(prod(tensor.shape) for tensor in tensors)
    sizes = sum(path.stat().st_size for path in location.weights)
    return sizes * (_PACKED if location.gguf else 1) * _BYTES[dtype] / 2
