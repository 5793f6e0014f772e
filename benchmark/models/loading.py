"""Loading weights and tokenizers with transformers, with every choice that can change a score."""

import io
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, TypeAlias

from benchmark.errors import (
    DoesNotFitError,
    MissingLibraryError,
    ModelError,
    SettingError,
)
from benchmark.models.bos import BosRule, bos_rule
from benchmark.models.gguf_reading import quick_gguf
from benchmark.models.location import Location
from benchmark.models.memory_errors import is_out_of_memory
from benchmark.models.tokenizer import TransformersTokenizer

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    LanguageModel: TypeAlias = PreTrainedModel  # for rooms that may not import transformers

_LOADING = (OSError, ValueError, LookupError, ImportError, RuntimeError)
"""What transformers raises for files that are not what they should be."""

_CUDA = re.compile("cuda(:(?P<numbers>[0-9]{1,3}(,[0-9]{1,3})*))?")

_NEW_NAME = "TokenizersBackend"

_FOR_WEIGHTS = 0.9
"""The share of a GPU's memory that weights may take; the rest is for the cache and the kernels."""

DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How weights are loaded: on which device, in which dtype, quantized or not."""

    device: str
    dtype: str
    quantization: str | None = None


def resolve_device(device: str) -> str:
    """``auto`` as ``cuda`` where there is a GPU and ``cpu`` elsewhere; others checked.

    Raises:
        SettingError: for a device that does not exist here.
    """
    if device == "cpu":
        return device
    match = _CUDA.fullmatch(device)
    if match is None and device != "auto":
        raise SettingError(f"no device {device!r}; use auto, cpu, cuda, cuda:N or cuda:N,M")
    import torch

    if match is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    if not torch.cuda.is_available():
        raise SettingError(f"--device {device}: torch sees no GPU here; use --device cpu")
    count = torch.cuda.device_count()
    if max(map(int, (match["numbers"] or "0").split(","))) >= count:
        raise SettingError(f"--device {device}: there are {count} GPUs, counted from cuda:0")
    return device


def check_options(options: LoadOptions) -> LoadOptions:
    """The options themselves.

    Raises:
        SettingError: when they do not exist or do not fit the machine.
    """
    if options.dtype not in DTYPES:
        raise SettingError(f"no dtype {options.dtype!r}; choose one of {', '.join(DTYPES)}")
    if options.quantization:
        _quantization(options)
    return options


def load_tokenizer(location: Location, registered: BosRule | None = None) -> TransformersTokenizer:
    """Return the model's tokenizer.

    ``registered`` is what the registry says of a BOS; with None the tokenizer's files say it.

    Raises:
        ModelError: when the folder holds none that transformers can load.
    """
    import transformers

    try:
        with _quiet(), _quick(location):
            raw = getattr(transformers, _loads_tokenizer(location)).from_pretrained(
                location.folder, trust_remote_code=False, **_gguf(location)
            )
            encoder = None if location.gguf else _as_it_stands(location.folder, raw)
            rule = bos_rule(location.folder, location.gguf)
    except Exception as error:  # tokenizers raises no class of its own
        raise ModelError(f"{location.name}: cannot load its tokenizer: {_line(error)}") from error
    rule = registered.over(rule) if registered else rule
    tokenizer = TransformersTokenizer(raw, location.name, rule, encoder)
    if registered and registered.added and tokenizer.bos_id is None:
        raise ModelError(
            f"{location.name}: its tokenizer names no BOS, and the registry says that it adds one; "
            "are these the model's own tokenizer files?"
        )
    return tokenizer


def _as_it_stands(folder: Path, raw: "PreTrainedTokenizerFast") -> "Tokenizer | None":
    """The tokenizer of the file, without what a class of transformers would change of it.

    Truncation and padding that somebody's training left in the file are not for prompts. Special
    tokens may be named in other files alone; they keep the ids that these give them.
    """
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.is_file():
        return None
    encoder = Tokenizer.from_file(str(path))
    encoder.no_truncation()
    encoder.no_padding()
    known = encoder.get_vocab(with_added_tokens=True)
    for token_id, token in sorted(raw.added_tokens_decoder.items()):
        if token.content not in known:
            (encoder.add_special_tokens if token.special else encoder.add_tokens)([token])
            if encoder.token_to_id(token.content) != token_id:
                raise ModelError(f"{token.content!r} has another id in tokenizer.json")
    return encoder


def _loads_tokenizer(location: Location) -> str:
    """The class that loads a tokenizer: its own, unless this release knows that by another name.

    transformers 5 saves ``TokenizersBackend`` for what 4 calls ``PreTrainedTokenizerFast``.
    """
    import transformers

    config = location.folder / "tokenizer_config.json"
    saved = config.read_text(encoding="utf-8") if config.is_file() else ""
    renamed = _NEW_NAME in saved and not hasattr(transformers, _NEW_NAME)
    return "PreTrainedTokenizerFast" if renamed else "AutoTokenizer"


def load_model(location: Location, options: LoadOptions) -> "PreTrainedModel":
    """The model's weights, ready to run, never with code of the repository.

    Raises:
        ModelError: when the files cannot be loaded.
        SettingError: when the options do not fit the machine.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    arguments = {
        "dtype": _dtype(check_options(options).dtype),
        **_device_map(options.device),
        # Where there are none, transformers reads pickled weights with weights_only: no code runs.
        "use_safetensors": location.safetensors,
        "trust_remote_code": False,
        **_quantization(options),
        **_gguf(location),
    }
    try:
        with _quiet(), _quick(location):
            model, report = AutoModelForCausalLM.from_pretrained(
                location.folder, output_loading_info=True, **arguments
            )
    except (*_LOADING, SafetensorError, UnpicklingError, MemoryError) as error:
        if is_out_of_memory(error):
            raise DoesNotFitError(
                f"{location.name}: does not fit on {options.device}; use --dtype bfloat16, "
                "--quantization 8bit, or --device cuda, which shares it between all GPUs"
            ) from error
        raise ModelError(f"{location.name}: cannot load its weights: {_line(error)}") from error
    # transformers would draw at random whatever the files lack.
    if lacking := sorted(report["missing_keys"]):
        names = ", ".join(lacking[:3])
        raise ModelError(f"{location.name}: {len(lacking)} weights are not in its files: {names}")
    return model.eval()


def _dtype(name: str) -> "torch.dtype":
    import torch

    dtype: torch.dtype = getattr(torch, name)
    return dtype


def _quantization(options: LoadOptions) -> dict[str, object]:
    if options.quantization is None:
        return {}
    if options.quantization != "8bit":
        raise SettingError(f"no quantization {options.quantization!r}; the only one is 8bit")
    if not options.device.startswith("cuda"):
        raise SettingError("--quantization 8bit needs a GPU; leave it out on this device")
    try:
        import bitsandbytes  # noqa: F401  # what transformers will import
    except ImportError as error:
        raise MissingLibraryError(
            "--quantization 8bit needs bitsandbytes; run: pip install -e '.[gpu]'"
        ) from error
    from transformers import BitsAndBytesConfig

    return {"quantization_config": BitsAndBytesConfig(load_in_8bit=True)}


def _device_map(device: str) -> dict[str, object]:
    """One device for the whole model; several GPUs, all or those named, share it by layers."""
    if device != "cuda" and "," not in device:
        return {"device_map": {"": device}}
    from benchmark.models.hardware import gpus

    memory = gpus()
    named = device.partition(":")[2]
    numbers = map(int, named.split(",")) if named else range(len(memory))
    # Only GPUs are named: nothing may go to the CPU or to disk without a word.
    return {
        "device_map": "auto",
        "max_memory": {n: int(memory[n].memory * _FOR_WEIGHTS) for n in numbers},
    }


def _gguf(location: Location) -> dict[str, str]:
    return {"gguf_file": location.gguf} if location.gguf else {}


@contextmanager
def _quiet() -> Iterator[None]:
    """No bars and no advice from libraries between the lines of our own progress."""
    with redirect_stderr(io.StringIO()):
        yield


def _quick(location: Location) -> AbstractContextManager[None]:
    return quick_gguf() if location.gguf else nullcontext()


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
