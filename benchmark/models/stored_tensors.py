"""Read names, types, shapes and values of the tensors in files of weights, without a model."""

import struct
import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING

from benchmark.errors import DataError, ModelError, first_line
from benchmark.reading.documents import json_object
from benchmark.reading.files import open_regular

if TYPE_CHECKING:
    import torch

_LONGEST_HEADER = 100_000_000
"""The bytes of a safetensors header that the safetensors library reads."""

_METADATA = "__metadata__"

_TYPE_NAMES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
}
"""The names of safetensors for the types of torch."""


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor in a file of weights; ``dtype`` is the name that safetensors has for it."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path


def stored_tensors(path: Path) -> list[StoredTensor]:
    """Return the tensors of a safetensors or pickled file, without reading their values.

    Of a pickled file only tensors are read, which executes no code.

    Raises:
        ModelError: if the file cannot be read.
    """
    if path.suffix == ".safetensors":
        return _in_safetensors(path)
    return [
        StoredTensor(name, _type_name(tensor), tuple(tensor.shape), path)
        for name, tensor in _unpickled(path, device="meta").items()
    ]


def read_tensors(path: Path, names: Collection[str]) -> dict[str, "torch.Tensor"]:
    """Return the values of some tensors of a file, on the CPU.

    Raises:
        ModelError: if the file cannot be read.
    """
    if path.suffix == ".safetensors":
        from safetensors import safe_open

        with _reading(path), safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in names}
    tensors = _unpickled(path, device="cpu")
    return {name: tensors[name] for name in names}


def _in_safetensors(path: Path) -> list[StoredTensor]:
    with _reading(path), open_regular(path) as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > _LONGEST_HEADER:
            raise ValueError("not a safetensors file: its header is too long")
        entries = json_object(file.read(length).decode("utf-8"), "its header", strict=False)
        return [
            StoredTensor(name, *_described(entry), path)
            for name, entry in entries.items()
            if name != _METADATA
        ]


def _described(entry: object) -> tuple[str, tuple[int, ...]]:
    """Return type and shape of a tensor in a header of safetensors."""
    match entry:
        case {"dtype": str(dtype), "shape": list(shape)} if all(
            type(n) is int and n >= 0 for n in shape
        ):
            return dtype, tuple(shape)
    raise ValueError("a tensor without a type or a shape")


def _unpickled(path: Path, device: str) -> Mapping[str, "torch.Tensor"]:
    import torch

    # Values are mapped into memory, so that only those that are used are read.
    mapped = device != "meta" and zipfile.is_zipfile(path)
    with _reading(path):
        content = torch.load(path, map_location=device, weights_only=True, mmap=mapped)
        items = content.items() if isinstance(content, Mapping) else ()
        return {str(name): value for name, value in items if isinstance(value, torch.Tensor)}


def _type_name(tensor: "torch.Tensor") -> str:
    name = str(tensor.dtype).removeprefix("torch.")
    return _TYPE_NAMES.get(name, name)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn errors of the libraries into one that names the file."""
    from safetensors import SafetensorError

    what = f"{path}: cannot load its weights"
    try:
        yield
    except ModelError:
        raise
    except UnpicklingError as error:
        raise ModelError(
            f"{what}: it is damaged, or holds more than tensors; code in it is never run"
        ) from error
    except struct.error as error:
        raise ModelError(f"{what}: it is too short for a safetensors file") from error
    except (OSError, ValueError, RuntimeError, SafetensorError, EOFError) as error:
        raise ModelError(f"{what}: {first_line(error)}") from error
    except (LookupError, TypeError, AttributeError) as error:  # of a damaged pickle
        raise ModelError(f"{what}: it is damaged: {first_line(error)}") from error
    except DataError as error:
        raise ModelError(f"{what}: {error}") from error
