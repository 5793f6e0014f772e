"""The models and pairs as data: the paper's, newer ones, and a user's own."""

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field

from benchmark.errors import DataError, SettingError, reason
from benchmark.models.entries import Entry, valid
from benchmark.models.published import published

Training = Literal["code", "math", "alignment", "control"]
"""What a variant was trained on further; also the name of the experiment its pair is in.

``control`` is for models made to prove the instrument, not for any of the paper's.
"""


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*$")]
"""A key or identifier: it names files and test cases."""

Text = Annotated[str, Field(min_length=1)]

Hypothesis = Literal["gain", "no gain", "as published"]
"""What a pair is expected to show where at least one operation changed the box.

``gain``: the variant is better, by more than chance; ``no gain``: it is not; ``as published``: the
paper claims no direction, and the difference is the published one within error.
"""


class RegisteredModel(Entry):
    """A model: where it is, what it is, and how the paper prompted it.

    ``added`` is the training that came on top of the base; ``size`` the authors' own name for
    the number of parameters.
    """

    key: Name
    name: Text
    huggingface_id: Text
    architecture: Literal["llama", "gemma", "mistral", "qwen2"]
    size: Text
    added: tuple[Training, ...]
    format: Literal["completion", "chat"]
    paper: bool
    quantization: Literal["8bit"] | None = None
    gated: bool = False

    @property
    def page(self) -> str:
        """Where its licence is read and, for a gated model, accepted."""
        return f"https://huggingface.co/{self.huggingface_id}"


class Pair(Entry):
    """A base model and the same model trained further, and the experiment it belongs to.

    ``source`` says, for a pair that is not the paper's, where its authors document it.
    """

    id: Name
    experiment: Training
    base: str
    variant: str
    hypothesis: Hypothesis
    paper: bool = False
    source: str | None = None


class Registry(Entry):
    """Models by key and pairs by identifier."""

    models: dict[str, RegisteredModel]
    pairs: dict[str, Pair]

    def model(self, key: str) -> RegisteredModel:
        """The model of that key.

        Raises:
            SettingError: when there is none.
        """
        if key not in self.models:
            raise SettingError(f"no model {key!r} in the registry; choose of {_list(self.models)}")
        return self.models[key]

    def by_huggingface_id(self, huggingface_id: str) -> RegisteredModel | None:
        """The model of that identifier on the hub, where it is registered."""
        found = (m for m in self.models.values() if m.huggingface_id == huggingface_id)
        return next(found, None)

    def pair(self, pair_id: str) -> Pair:
        """The pair of that identifier.

        Raises:
            SettingError: when there is none.
        """
        if pair_id not in self.pairs:
            raise SettingError(
                f"no pair {pair_id!r} in the registry; choose of {_list(self.pairs)}"
            )
        return self.pairs[pair_id]


@cache
def registry() -> Registry:
    """The registry that comes with the benchmark."""
    text = files("benchmark.models").joinpath("registry.toml").read_text(encoding="utf-8")
    return _parse(text, "registry.toml", Registry(models={}, pairs={}))


def wanted_registry(path: Path | None) -> Registry:
    """The registry of a command: the benchmark's own, or that of its ``--registry FILE``.

    Raises:
        DataError: as :func:`read_registry`.
    """
    return read_registry(path) if path else registry()


def read_registry(path: Path) -> Registry:
    """The benchmark's registry with a user's own models and pairs, in the same TOML form.

    A user's pair may name models of the benchmark's registry. With ``alone = true`` the file
    stands for itself. An identifier that begins with ``./`` is a folder beside the file.

    Raises:
        DataError: naming the file and the model or pair that is not what it should be.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot read the registry: {reason(error)}") from error
    return _parse(text, str(path), registry(), path.parent)


def _parse(text: str, source: str, known: Registry, folder: Path | None = None) -> Registry:
    """What is known and what the text adds to it."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{source}: not TOML: {error}") from error
    if unknown := data.keys() - {"models", "pairs", "alone"}:
        raise DataError(f"{source}: unknown section {_list(unknown)}; there are models and pairs")
    alone, sections = data.get("alone", False), (data.get("models", {}), data.get("pairs", []))
    if not isinstance(alone, bool):
        raise DataError(f"{source}: alone is {alone!r}; it is true or false")
    for name, part in zip(("models.KEY", "[pairs]"), sections, strict=True):
        entries = part.values() if isinstance(part, dict) else part
        kind = dict if name == "models.KEY" else list
        if not isinstance(part, kind) or not all(isinstance(each, dict) for each in entries):
            raise DataError(f"{source}: models and pairs are tables of TOML, each a [{name}]")
    models, pairs = ({}, {}) if alone else (dict(known.models), dict(known.pairs))
    for key, fields in data.get("models", {}).items():
        where = f"{source}: model {key!r}"
        model = valid(RegisteredModel, {**fields, "key": key}, where)
        _add(models, key, _beside(model, folder), where)
    for number, fields in enumerate(data.get("pairs", []), start=1):
        where = f"{source}: pair {fields.get('id', number)!r}"
        pair = valid(Pair, fields, where)
        _check_pair(pair, models, where)
        _add(pairs, pair.id, pair, where)
    return Registry(models=models, pairs=pairs)


def _published() -> frozenset[str]:
    return frozenset(model.huggingface_id for model in published().values())


def _beside(model: RegisteredModel, folder: Path | None) -> RegisteredModel:
    """The model with an identifier that begins with ``./`` made a path."""
    if folder is None or not model.huggingface_id.startswith("./"):
        return model
    path = folder.resolve() / model.huggingface_id
    return model.model_copy(update={"huggingface_id": str(path)})


T = TypeVar("T", bound=Entry)


def _check_pair(pair: Pair, models: Mapping[str, RegisteredModel], where: str) -> None:
    for role, key in (("base", pair.base), ("variant", pair.variant)):
        if key not in models:
            raise DataError(f"{where}: its {role} {key!r} is not among the models")
    if pair.base == pair.variant:
        raise DataError(f"{where}: base and variant are the same model")
    if pair.hypothesis == "as published" and not all(
        models[key].huggingface_id in _published() for key in (pair.base, pair.variant)
    ):
        raise DataError(f"{where}: nothing is published of it; say gain or no gain")
    if pair.experiment != "control" and pair.experiment not in models[pair.variant].added:
        raise DataError(
            f"{where}: {pair.variant!r} has no {pair.experiment!r} among what was added"
        )
    if not (pair.paper or pair.source):
        raise DataError(f"{where}: a pair that is not the paper's needs a source")


def _add(entries: dict[str, T], key: str, entry: T, where: str) -> None:
    if key in entries:
        raise DataError(f"{where}: there is one of that name already; give it another")
    entries[key] = entry


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
