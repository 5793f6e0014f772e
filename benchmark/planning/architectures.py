"""Model configurations without weights, from the data here, a local folder or the hub."""

import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import PositiveInt

from benchmark.errors import DataError, ModelError, UnavailableModelError
from benchmark.models.validation import Entry, validate
from benchmark.package_data import package_text

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

_FILE = "architectures.toml"


class Architecture(Entry):
    """The fields of a ``config.json`` that decide memory and time, under their own names."""

    model_type: str
    num_hidden_layers: PositiveInt
    hidden_size: PositiveInt
    intermediate_size: PositiveInt
    num_attention_heads: PositiveInt
    num_key_value_heads: PositiveInt
    head_dim: PositiveInt
    vocab_size: PositiveInt
    tie_word_embeddings: bool
    max_position_embeddings: PositiveInt
    sliding_window: PositiveInt | None = None

    def configuration(self) -> "PreTrainedConfig":
        """Return the configuration as an object of transformers."""
        from transformers import AutoConfig

        config: PreTrainedConfig = AutoConfig.for_model(**self.model_dump())
        return config


class Architectures(Entry):
    """Architectures by name, and the name of the architecture of repositories of the hub."""

    architectures: dict[str, Architecture]
    models: dict[str, str]

    def of(self, huggingface_id: str) -> Architecture | None:
        """Return the architecture of a model of the hub, None if it is not in the data."""
        name = self.models.get(huggingface_id)
        return self.architectures[name] if name else None


@cache
def architectures() -> Architectures:
    """Return the architectures in the benchmark's data."""
    text = package_text("planning/architectures.toml")
    return parse(text, _FILE)


def llama_shapes() -> dict[str, Architecture]:
    """Return the architectures that are plain Llamas, by name."""
    return {n: a for n, a in architectures().architectures.items() if a.model_type == "llama"}


def parse(text: str, source: str) -> Architectures:
    """Read the TOML form, in which an architecture may be ``like`` an earlier one.

    Raises:
        DataError: naming the source and the invalid entry.
    """
    data = tomllib.loads(text)
    merged: dict[str, dict[str, object]] = {}
    for name, fields in data.get("architectures", {}).items():
        like = fields.get("like")
        if like is not None and like not in merged:
            raise DataError(f"{source}: {name}: like {like!r}, which does not come before it")
        rest = {key: value for key, value in fields.items() if key != "like"}
        merged[name] = {**(merged[like] if like else {}), **rest}
    valid = {
        name: validate(Architecture, fields, f"{source}: architecture {name!r}")
        for name, fields in merged.items()
    }
    models = data.get("models", {})
    for model, name in models.items():
        if name not in valid:
            raise DataError(f"{source}: model {model!r}: no architecture {name!r}")
    return Architectures(architectures=valid, models=models)


def architecture_in_data(model: str) -> Architecture | None:
    """Return the architecture of a model of the hub; None for a local one and an unknown one."""
    return None if Path(model).expanduser().exists() else architectures().of(model)


def configuration(model: str) -> "PreTrainedConfig":
    """Return the configuration of a registered model, a local folder, a GGUF file or a hub model.

    The network is used only for a hub model that is not in the data, and weights are not fetched.

    Raises:
        ModelError: if a local configuration cannot be read.
        UnavailableModelError: if the hub does not provide it.
    """
    if architecture := architecture_in_data(model):
        return architecture.configuration()
    path = Path(model).expanduser()
    if path.is_file():
        return _read(model, path.parent, gguf_file=path.name)
    if path.is_dir():
        return _read_folder(model, path)
    try:
        return _read(model, model)
    except ModelError as error:
        raise UnavailableModelError(
            f"{model}: its configuration is not in the benchmark's data, and the hub did not "
            "provide it; connect and set HF_TOKEN if it is gated, or name a folder with its "
            "config.json"
        ) from error


def _read_folder(model: str, folder: Path) -> "PreTrainedConfig":
    if (folder / "config.json").is_file():
        return _read(model, folder)
    if gguf := sorted(folder.glob("*.gguf")):
        return _read(model, folder, gguf_file=gguf[0].name)
    raise ModelError(f"{model}: no config.json and no GGUF file in this folder")


def _read(model: str, source: str | Path, **gguf: str) -> "PreTrainedConfig":
    from transformers import AutoConfig

    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(
            source, trust_remote_code=False, **gguf
        )
    except (OSError, ValueError, LookupError, ImportError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{model}: cannot read its configuration: {reason}") from error
    return config
