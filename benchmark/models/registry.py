"""The models and pairs as data: the paper's, newer ones, and a user's own."""

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field

from benchmark.errors import DataError, SettingError, reason
from benchmark.models.published import published_rows
from benchmark.models.validation import Entry, valid

Training = Literal["code", "math", "alignment", "control"]
"""What a variant was trained on further; also the name of the experiment its pair is in.

``control`` is for models made to prove the instrument, not for any of the paper's.
"""


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*$")]
"""A key or identifier: it names files and test cases."""

Text = Annotated[str, Field(min_length=1)]

Commit = Annotated[str, Field(pattern=r"^([0-9a-f]{40})?$")]
"""A commit of a repository of the hub, which pins the model; empty where none is pinned."""

Hypothesis = Literal["gain", "no gain", "as published"]
"""What a pair is expected to show where at least one operation changed the box.

``gain``: the variant is better, by more than chance; ``no gain``: it is not; ``as published``: the
paper claims no direction, and the difference is the published one within error.
"""


class Repository(Entry):
    """Where a model is loaded from; ``revision`` is the commit that it is pinned to."""

    huggingface_id: Text
    revision: Commit = ""


class Alternative(Repository):
    """Another repository of a registered model, loaded only where it is named.

    ``row`` is the key of the published row that its results are compared with, None where they are
    compared with none; ``note`` says who names the repository, and what is known of it.
    """

    row: Name | None = None
    note: Text


class RegisteredModel(Repository):
    """A model: where it is, what it is, and how the paper prompted it.

    ``added`` is the training that came on top of the base; ``size`` the authors' own name for
    the number of parameters; ``architecture`` the ``model_type`` of its configuration.
    ``instruction_role`` is whose turn of a chat gives the instruction: the system's, or a user's
    that the assistant answers with ``Okay.``. ``adds_bos`` says whether the model's own tokenizer
    puts a BOS before a text; None where only its files tell.
    """

    key: Name
    name: Text
    alternatives: tuple[Alternative, ...] = ()
    architecture: Name
    size: Text
    added: tuple[Training, ...]
    format: Literal["completion", "chat"]
    instruction_role: Literal["system", "user"] = "user"
    adds_bos: bool | None = None
    paper: bool
    quantization: Literal["8bit"] | None = None
    gated: bool = False

    def loaded_from(self, huggingface_id: str) -> "RegisteredModel | None":
        """Return the model as loaded from one of its repositories, None if it is not one of them.

        Of an alternative this is the same model with the identifier and revision of the
        alternative, so whoever loads it cannot load the default one by mistake.
        """
        if huggingface_id == self.huggingface_id:
            return self
        for each in self.alternatives:
            if each.huggingface_id == huggingface_id:
                own = {"huggingface_id": huggingface_id, "revision": each.revision}
                return self.model_copy(update=own)
        return None

    @property
    def alternative(self) -> Alternative | None:
        """The alternative that this model is loaded from; None for its default repository."""
        named = (each for each in self.alternatives if each.huggingface_id == self.huggingface_id)
        return next(named, None)

    @property
    def row(self) -> str | None:
        """The key of the published row that its results belong to, if there is such a row.

        The model's own key; of an alternative the key that it names, or None.
        """
        return self.alternative.row if self.alternative else self.key

    @property
    def is_local(self) -> bool:
        """Whether it is a folder or file here, as :func:`locate` tells; it then has no revision."""
        return Path(self.huggingface_id).expanduser().exists()

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
        """Return the registered model as loaded from that repository, None if there is none.

        A model's default repository comes before an alternative of another model.
        """
        found = [m for each in self.models.values() if (m := each.loaded_from(huggingface_id))]
        return min(found, key=lambda model: model.alternative is not None, default=None)

    def find(self, name: str) -> RegisteredModel | None:
        """Return the model of that key, or as loaded from the repository of that name."""
        return self.models.get(name) or self.by_huggingface_id(name)

    @property
    def unpaired(self) -> tuple[str, ...]:
        """The keys of the models that are in no pair."""
        paired = {key for pair in self.pairs.values() for key in (pair.base, pair.variant)}
        return tuple(key for key in self.models if key not in paired)

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
        _check_model(model, where)
        _add(models, key, _beside(model, folder), where)
    for number, fields in enumerate(data.get("pairs", []), start=1):
        where = f"{source}: pair {fields.get('id', number)!r}"
        pair = valid(Pair, fields, where)
        _check_pair(pair, models, where)
        _add(pairs, pair.id, pair, where)
    return Registry(models=models, pairs=pairs)


def _check_model(model: RegisteredModel, where: str) -> None:
    repositories: list[Repository] = [model, *model.alternatives]
    if len({each.huggingface_id for each in repositories}) < len(repositories):
        raise DataError(f"{where}: alternatives: one repository is named twice")
    for each in repositories:
        if each.revision and each.huggingface_id.startswith("./"):
            raise DataError(f"{where}: revision: {each.huggingface_id} is a folder and has none")
    for other in model.alternatives:
        if other.row is not None and other.row not in published_rows():
            raise DataError(f"{where}: alternatives: nothing is published of {other.row!r}")


R = TypeVar("R", bound=Repository)


def _beside(model: RegisteredModel, folder: Path | None) -> RegisteredModel:
    """The model with identifiers that begin with ``./`` made paths."""
    alternatives = tuple(_made_path(each, folder) for each in model.alternatives)
    return _made_path(model, folder).model_copy(update={"alternatives": alternatives})


def _made_path(entry: R, folder: Path | None) -> R:
    if folder is None or not entry.huggingface_id.startswith("./"):
        return entry
    path = folder.resolve() / entry.huggingface_id
    return entry.model_copy(update={"huggingface_id": str(path)})


T = TypeVar("T", bound=Entry)


def _check_pair(pair: Pair, models: Mapping[str, RegisteredModel], where: str) -> None:
    for role, key in (("base", pair.base), ("variant", pair.variant)):
        if key not in models:
            raise DataError(f"{where}: its {role} {key!r} is not among the models")
    if pair.base == pair.variant:
        raise DataError(f"{where}: base and variant are the same model")
    if pair.hypothesis == "as published" and not all(
        models[key].row in published_rows() for key in (pair.base, pair.variant)
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


def groups(known: Registry) -> dict[str, str]:
    """For each pair the name of its group: pairs that share models, directly or by others.

    Measured in one process one after the other, no model of a group is loaded twice.
    """
    leader: dict[str, str] = {}

    def find(key: str) -> str:
        while leader.setdefault(key, key) != key:
            key = leader[key]
        return key

    for pair in known.pairs.values():
        leader[find(pair.variant)] = find(pair.base)
    return {pair.id: find(pair.base) for pair in known.pairs.values()}


def find_pair(known: Registry, base: str, variant: str) -> Pair | None:
    """The registered pair of two models, named by key or identifier.

    An alternative is its model here where it stands for the model's own published row.
    """

    def is_named(key: str, name: str) -> bool:
        model = known.models[key].loaded_from(name)
        return name == key or (model is not None and model.row == key)

    found = (
        pair
        for pair in known.pairs.values()
        if is_named(pair.base, base) and is_named(pair.variant, variant)
    )
    return next(found, None)
