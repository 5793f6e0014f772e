"""Load a GGUF file's weights as they were converted, with the same model as the result.

A model is described completely when it is kept. One that was built from what was kept is compared
with that description, and with the kept tensors, before it is used.
"""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from benchmark.models.conversions import Conversion
from benchmark.models.library_messages import collected_messages
from benchmark.models.location import Location

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_OF_THE_LOADING = ("quantization_config", "_name_or_path")
"""Fields of a configuration that say where the weights are from."""

_THREADS = 4
"""How many files are read and digested at a time."""


@dataclass(frozen=True, slots=True)
class KeptWeights:
    """The converted weights of a GGUF file in one dtype, for the CPU."""

    location: Location
    dtype: str
    conversion: Conversion

    @classmethod
    def of(cls, location: Location, dtype: str) -> Self | None:
        """Return the place of a GGUF file's weights, None if they cannot be kept."""
        path = location.folder / (location.gguf or "")
        conversion = Conversion.of(path, "weights", dtype=dtype)
        return cls(location, dtype, conversion) if conversion else None

    def load(self) -> "tuple[PreTrainedModel, list[str]] | None":
        """Return the model and the messages of its conversion; None if it was not kept."""
        document = self.conversion.document()
        if document is None:
            return None
        try:
            with collected_messages():
                model = self._built(document)
        except Exception:  # noqa: BLE001  # libraries raise any; what cannot be used is made again
            return None
        messages = document["messages"]
        return (model, messages) if model and isinstance(messages, list) else None

    def keep(self, model: "PreTrainedModel", messages: list[str]) -> None:
        """Keep a model that was loaded from the file, and passed all checks."""
        packed = any("gguf" in type(module).__module__ for module in model.modules())
        if packed or any(str(self.location.folder) in message for message in messages):
            return
        files = {file: _bytes(tensor) for file, tensor in _files(model).values()}
        document = {"model": _description(model), "messages": messages}
        self.conversion.keep(document, files)

    def _built(self, document: dict[str, object]) -> "PreTrainedModel | None":
        import torch
        import transformers

        description = document["model"]
        if not isinstance(description, dict):
            return None
        entries: dict[str, dict[str, object]] = description["tensors"]
        first = {str(entry["file"]): name for name, entry in reversed(entries.items())}
        with ThreadPoolExecutor(_THREADS) as pool:  # digests take most of the time
            read = dict(
                zip(
                    first,
                    pool.map(self._tensor, (entries[name] for name in first.values())),
                    strict=True,
                )
            )
        model_class = getattr(transformers, description["class"])
        model: PreTrainedModel = model_class.from_pretrained(
            None,
            config=model_class.config_class.from_dict(description["config"]),
            state_dict={name: read[file] for file, name in first.items()},
            dtype=getattr(torch, self.dtype),
            device_map={"": "cpu"},
        ).eval()
        model.config.name_or_path = str(self.location.folder)
        tensors = {name: read[str(entry["file"])] for name, entry in entries.items()}
        return model if _description(model) == description and _have(model, tensors) else None

    def _tensor(self, entry: dict[str, object]) -> "torch.Tensor":
        import torch

        dtype: torch.dtype = getattr(torch, str(entry["dtype"]))
        # Allocated by torch: the alignment of the memory can decide which kernel is used.
        match entry["shape"]:
            case list(shape):
                tensor = torch.empty(shape, dtype=dtype)
            case shape:
                raise TypeError(f"{shape} is no shape")
        self.conversion.read_into(str(entry["file"]), _bytes(tensor))
        return tensor


def _files(model: "PreTrainedModel") -> "dict[str, tuple[str, torch.Tensor]]":
    """Return the file and the value of every saved tensor by name; tied ones share a file."""
    numbers: dict[object, int] = {}
    files: dict[str, tuple[str, torch.Tensor]] = {}
    for name, tensor in model.state_dict().items():
        place = (tensor.data_ptr(), tensor.shape, tensor.dtype)
        number = numbers.setdefault(place, len(numbers))
        files[name] = (f"{number}.bin", tensor)
    return files


def _bytes(tensor: "torch.Tensor") -> memoryview:
    """Return the memory of a tensor, or of a contiguous copy."""
    import torch

    flat = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
    content: memoryview = flat.numpy().data
    return content


def _description(model: "PreTrainedModel") -> dict[str, object]:
    """Return a description of a model, without the values of its tensors, as JSON values."""
    saved = _files(model)
    generation = getattr(model, "generation_config", None)
    description = {
        "class": type(model).__name__,
        "config": {k: v for k, v in model.config.to_dict().items() if k not in _OF_THE_LOADING},
        "attention": model.config._attn_implementation,  # noqa: SLF001  # there is no public getter
        "generation": generation.to_dict() if generation else None,
        "tensors": {
            name: {
                "file": file,
                "dtype": str(tensor.dtype).removeprefix("torch."),
                "shape": list(tensor.shape),
            }
            for name, (file, tensor) in saved.items()
        },
        "buffers": {
            name: hashlib.sha256(_bytes(buffer)).hexdigest()
            for name, buffer in model.named_buffers()
            if name not in saved
        },
    }
    as_json: dict[str, object] = json.loads(json.dumps(description, default=str))
    return as_json


def _have(model: "PreTrainedModel", tensors: "dict[str, torch.Tensor]") -> bool:
    """Return whether the model has these values."""
    import torch

    return all(
        tensor.data_ptr() == tensors[name].data_ptr() or torch.equal(tensor, tensors[name])
        for name, tensor in model.state_dict().items()
    )
