"""Load weights with transformers, with every choice that can change a score."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from benchmark.errors import (
    DoesNotFitError,
    ModelError,
    RefusedModelError,
    SettingError,
    first_line,
)
from benchmark.extras import check_extra
from benchmark.models.checkpoint_checks import (
    check_causal,
    check_configuration,
    check_finite,
    check_tensors,
)
from benchmark.models.configuration_checks import named_fields
from benchmark.models.device_map import device_map
from benchmark.models.gguf_checks import check_gguf_metadata
from benchmark.models.gguf_reading import gguf_arguments, gguf_cache
from benchmark.models.gpus import exact_products, has_gpu, missing_gpu
from benchmark.models.kept_weights import KeptWeights
from benchmark.models.library_messages import collected_messages, keep_messages, missing_class
from benchmark.models.location import Location, fetch_missing_weights
from benchmark.models.memory_errors import is_out_of_memory

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    LanguageModel: TypeAlias = PreTrainedModel  # for rooms that may not import transformers

_LOADING = (OSError, ValueError, IndexError, ImportError, RuntimeError)
"""Exceptions whose messages need no name of the class."""

_CUDA = re.compile("cuda(:(?P<numbers>[0-9]{1,3}(,[0-9]{1,3})*))?")

DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """The options for loading weights: device, dtype and quantization."""

    device: str
    dtype: str
    quantization: str | None = None


def resolve_device(device: str) -> str:
    """Return the device; ``auto`` is ``cuda`` if torch sees a GPU, else ``cpu``.

    Raises:
        SettingError: for a device that does not exist on this machine.
    """
    if device == "cpu":
        return device
    match = _CUDA.fullmatch(device)
    if match is None and device != "auto":
        raise SettingError(f"unknown device {device!r}; use auto, cpu, cuda, cuda:N or cuda:N,M")
    available = has_gpu()
    if match is None:
        return "cuda" if available else "cpu"
    if not available:
        raise SettingError(
            f"--device {device}: torch sees no GPU here: {missing_gpu()}; use --device cpu"
        )
    import torch

    count = torch.cuda.device_count()
    if max(map(int, (match["numbers"] or "0").split(","))) >= count:
        raise SettingError(f"--device {device}: torch sees {count} GPUs, starting at cuda:0")
    return device


def check_options(options: LoadOptions) -> LoadOptions:
    """Return the options if they are valid.

    Raises:
        SettingError: for an unknown option, or one that this machine does not support.
    """
    if options.dtype not in DTYPES:
        raise SettingError(f"unknown dtype {options.dtype!r}; choose one of {', '.join(DTYPES)}")
    if options.quantization:
        _quantization(options)
    return options


def load_model(location: Location, options: LoadOptions) -> "PreTrainedModel":
    """Return the model with its weights, ready to run. Code of the repository is never executed.

    Raises:
        ModelError: if the files cannot be loaded.
        RefusedModelError: if they can, but the answers would mean nothing.
        DoesNotFitError: if the device does not have enough memory.
        SettingError: for an unknown option, or one that this machine does not support.
    """
    fetch_missing_weights(location)
    arguments = {
        "dtype": _dtype(check_options(options).dtype),
        **device_map(location, options.device, options.quantization or options.dtype),
        # Without safetensors, transformers reads pickled weights with weights_only: no code runs.
        "use_safetensors": location.safetensors,
        "trust_remote_code": False,
        **_quantization(options),
        **gguf_arguments(location),
    }
    check_configuration(location)
    if options.device.startswith("cuda"):
        exact_products()
    kept = _kept_weights(location, options)
    if kept and (loaded := kept.load()):
        model, messages = loaded  # its file was checked before it was kept
    else:
        model, messages = _read(location, arguments, options.device)
    check_finite(location.name, model)
    check_causal(location.name, model.eval())
    keep_messages(model, messages)
    if kept and not loaded:
        kept.keep(model, messages)
    return model


def _kept_weights(location: Location, options: LoadOptions) -> KeptWeights | None:
    """Return the place of a GGUF file's converted weights; those for other devices are not kept."""
    if not location.gguf or options.device != "cpu" or options.quantization:
        return None
    return KeptWeights.of(location, options.dtype)


def _read(
    location: Location, arguments: dict[str, object], device: str
) -> "tuple[PreTrainedModel, list[str]]":
    """Return the model as transformers loads it, and the messages; raise as :func:`load_model`."""
    from transformers import AutoModelForCausalLM

    try:
        with collected_messages() as messages, gguf_cache(location):
            if location.gguf:
                check_gguf_metadata(location.folder / location.gguf, location.name)
            model, report = AutoModelForCausalLM.from_pretrained(
                location.folder,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are refused below, by name
                **arguments,
            )
    except RefusedModelError:
        raise
    except Exception as error:  # libraries raise any for invalid files
        if is_out_of_memory(error):
            raise DoesNotFitError(
                f"{location.name}: does not fit on {device}; use --dtype bfloat16, "
                "--quantization 8bit, or --device cuda, which shares it between all GPUs"
            ) from error
        raise ModelError(
            f"{location.name}: cannot load its weights: {_reason(location, error)}"
        ) from error
    _check_complete(location.name, report)
    check_tensors(location, report["unexpected_keys"], model)
    _return_named_outputs(model)
    return model, messages


def _reason(location: Location, error: Exception) -> str:
    """Return why a library did not load the weights, with the fields that it names."""
    if missing := missing_class(error):
        return f"{missing}; check {location.gguf or 'model_type in config.json'}"
    kind = "" if isinstance(error, _LOADING) else f"{type(error).__name__}: "
    return f"{kind}{first_line(error)}{named_fields(location, error)}"


def _check_complete(name: str, report: Mapping[str, Iterable[Any]]) -> None:
    """Check that all weights come from the files; transformers initializes others at random.

    Raises:
        RefusedModelError: naming weights that are missing or have another shape.
    """
    if mismatched := sorted(report["mismatched_keys"]):
        weight, stored, expected = mismatched[0]
        raise RefusedModelError(
            f"{name}: cannot load its weights: {len(mismatched)} have other shapes than by "
            f"config.json; {weight} is {_shape(stored)}, not {_shape(expected)}; check that the "
            "files belong together"
        )
    if missing := sorted(report["missing_keys"]):
        names = ", ".join(missing[:3])
        raise RefusedModelError(f"{name}: {len(missing)} weights are not in its files: {names}")


def _shape(sizes: Iterable[int]) -> str:
    return " x ".join(map(str, sizes)) or "a number"


def _return_named_outputs(model: "PreTrainedModel") -> None:
    """Undo ``return_dict`` of a configuration: it changes the form of outputs, not their values."""
    for config in (model.config, model.config.get_text_config()):
        config.return_dict = True


def _dtype(name: str) -> "torch.dtype":
    import torch

    dtype: torch.dtype = getattr(torch, name)
    return dtype


def _quantization(options: LoadOptions) -> dict[str, object]:
    if options.quantization is None:
        return {}
    if options.quantization != "8bit":
        raise SettingError(f"unknown quantization {options.quantization!r}; the only one is 8bit")
    if not options.device.startswith("cuda"):
        raise SettingError("--quantization 8bit needs a GPU; leave it out on this device")
    check_extra("bitsandbytes", "gpu", "--quantization 8bit")
    from transformers import BitsAndBytesConfig

    return {"quantization_config": BitsAndBytesConfig(load_in_8bit=True)}
