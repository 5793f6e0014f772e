"""What a model's configuration says, without its weights: of the data here, a folder, the hub."""

import tomllib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import PositiveInt

from benchmark.errors import DataError, ModelError, UnavailableModelError
from benchmark.models.validation import Entry, valid

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
        """The configuration as transformers has it."""
        from transformers import AutoConfig

        config: PreTrainedConfig = AutoConfig.for_model(**self.model_dump())
        return config


class Architectures(Entry):
    """Architectures by name, and the hub's repositories that have them."""

    architectures: dict[str, Architecture]
    models: dict[str, str]

    def of(self, huggingface_id: str) -> Architecture | None:
        """The architecture of a model of the hub, where it is in the data."""
        name = self.models.get(huggingface_id)
        return self.architectures[name] if name else None


@cache
def architectures() -> Architectures:
    """What comes with the benchmark."""
    text = files("benchmark.planning").joinpath(_FILE).read_text(encoding="utf-8")
    return parse(text, _FILE)


def parse(text: str, source: str) -> Architectures:
    """Read the TOML form, in which an architecture may be ``like`` one before it.

    Raises:
        DataError: naming the source and the entry that is not what it should be.
    """
    data = tomllib.loads(text)
    facts: dict[str, dict[str, object]] = {}
    for name, own in data.get("architectures", {}).items():
        like = own.get("like")
        if like is not None and like not in facts:
            raise DataError(f"{source}: {name}: like {like!r}, which does not come before it")
        rest = {key: value for key, value in own.items() if key != "like"}
        facts[name] = {**(facts[like] if like else {}), **rest}
    known = {n: valid(Architecture, f, f"{source}: architecture {n!r}") for n, f in facts.items()}
    models = data.get("models", {})
    for model, name in models.items():
        if name not in known:
            raise DataError(f"{source}: model {model!r}: no architecture {name!r}")
    return Architectures(architectures=known, models=models)


def configuration(model: str) -> "PreTrainedConfig":
    """The configuration of a registered model, a local folder, a GGUF file, or one of the hub.

    Only for a model of the hub that is not in the data is the network asked, and never for weights.

    Raises:
        ModelError: when a local one cannot be read.
        UnavailableModelError: when the hub does not give it.
    """
    path = Path(model).expanduser()
    if path.is_file():
        return _read(model, path.parent, gguf_file=path.name)
    if path.is_dir():
        return _read_folder(model, path)
    if known := architectures().of(model):
        return known.configuration()
    try:
        return _read(model, model)
    except ModelError as error:
        raise UnavailableModelError(
            f"{model}: its configuration is not in the benchmark's data, and the hub did not give "
            "it; connect and set HF_TOKEN if it is gated, or name a folder with its config.json"
        ) from error


def _read_folder(model: str, folder: Path) -> "PreTrainedConfig":
    if (folder / "config.json").is_file():
        return _read(model, folder)
    if gguf := sorted(folder.glob("*.gguf")):
        return _read(model, folder, gguf_file=gguf[0].name)
    raise ModelError(f"{model}: no config.json and no GGUF file in this folder")


def _read(model: str, where: str | Path, **gguf: str) -> "PreTrainedConfig":
    from transformers import AutoConfig

    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(
            where, trust_remote_code=False, **gguf
        )
    except (OSError, ValueError, LookupError, ImportError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{model}: cannot read its configuration: {reason}") from error
    return config
