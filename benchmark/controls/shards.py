"""Safetensors in shards, of which one at a time is in memory."""

import json
from collections.abc import Callable, Mapping, Sequence
from math import prod
from pathlib import Path

import torch
from safetensors.torch import save_file

from benchmark.writing import write_text

Shape = tuple[int, ...]

SHARD_BYTES = 2 * 1024**3


def write_shards(
    shapes: Mapping[str, Shape],
    dtype: torch.dtype,
    tensor: Callable[[str], torch.Tensor],
    folder: Path,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Write tensors as transformers does: one file, or several with an index.

    Args:
        shapes: the shape of each tensor by name, in the order of the files.
        dtype: of all tensors.
        tensor: makes the tensor of a name; it is called once per name, and its results are
            released with their shard.
        folder: the folder of the files.
        shard_bytes: the largest size of a shard, unless a single tensor is larger.
    """
    sizes = {name: prod(shape) * dtype.itemsize for name, shape in shapes.items()}
    shards = _shards(sizes, shard_bytes)
    files = _file_names(len(shards))
    for names, file in zip(shards, files, strict=True):
        save_file({name: tensor(name) for name in names}, folder / file, {"format": "pt"})
    if len(shards) > 1:
        weight_map = {
            name: file for names, file in zip(shards, files, strict=True) for name in names
        }
        index = {"metadata": {"total_size": sum(sizes.values())}, "weight_map": weight_map}
        write_text(folder / "model.safetensors.index.json", [json.dumps(index, indent=2), "\n"])


def _shards(sizes: Mapping[str, int], shard_bytes: int) -> list[list[str]]:
    """Put names into shards, in order; each shard has at least one."""
    shards: list[list[str]] = []
    space = 0
    for name, size in sizes.items():
        if not shards or size > space:
            shards.append([])
            space = shard_bytes
        shards[-1].append(name)
        space -= size
    return shards


def _file_names(count: int) -> Sequence[str]:
    if count == 1:
        return ("model.safetensors",)
    return [f"model-{n:05}-of-{count:05}.safetensors" for n in range(1, count + 1)]
