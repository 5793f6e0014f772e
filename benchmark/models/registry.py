"""Read the registry of models and pairs: the paper's, newer ones, and a user's own."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from benchmark.errors import DataError
from benchmark.models.published import published_rows
from benchmark.models.registry_types import (
    Pair,
    RegisteredModel,
    Registry,
    Repository,
    sorted_names,
)
from benchmark.models.validation import Entry, validate
from benchmark.package_data import package_text
from benchmark.reading.documents import parse_toml
from benchmark.reading.files import read_text


@cache
def registry() -> Registry:
    """Return the benchmark's own registry."""
    text = package_text("models/registry.toml")
    return _parse(text, "registry.toml", Registry(models={}, pairs={}))


def load_registry(path: Path | None) -> Registry:
    """Return the registry of a command: that of ``--registry FILE``, or the benchmark's own.

    Raises:
        DataError: see :func:`read_registry`.
    """
    return read_registry(path) if path else registry()


def read_registry(path: Path) -> Registry:
    """Return the benchmark's registry extended by a user's models and pairs in the same TOML form.

    A user's pair may name models of the benchmark's registry. With ``alone = true`` the file
    replaces the benchmark's registry. An identifier that begins with ``./`` is a path relative to
    the file, also that of a tokenizer.

    Raises:
        DataError: naming the file, and the invalid model or pair.
    """
    return _parse(read_text(path), str(path), registry(), path.parent)


def _parse(text: str, source: str, base: Registry, folder: Path | None = None) -> Registry:
    """Return the base registry extended by the models and pairs of the text."""
    data: dict[str, Any] = parse_toml(text, source)
    _check_sections(data, source)
    models, pairs = ({}, {}) if data.get("alone") else (dict(base.models), dict(base.pairs))
    for key, fields in data.get("models", {}).items():
        where = f"{source}: model {key!r}"
        model = validate(RegisteredModel, {**fields, "key": key}, where)
        _check_model(model, where)
        _add(models, key, _resolve_paths(model, folder), where)
    for number, fields in enumerate(data.get("pairs", []), start=1):
        where = f"{source}: pair {fields.get('id', number)!r}"
        pair = validate(Pair, fields, where)
        _check_pair(pair, models, where)
        _add(pairs, pair.id, pair, where)
    return Registry(models=models, pairs=pairs)


def _check_sections(data: Mapping[str, object], source: str) -> None:
    if unknown := data.keys() - {"models", "pairs", "alone"}:
        raise DataError(
            f"{source}: unknown section {sorted_names(unknown)}; the sections are models and pairs"
        )
    if not isinstance(alone := data.get("alone", False), bool):
        raise DataError(f"{source}: alone is {alone!r}; it must be true or false")
    if not _is_tables(data.get("models", {}), dict):
        raise DataError(f"{source}: models must be TOML tables, each a [models.KEY]")
    if not _is_tables(data.get("pairs", []), list):
        raise DataError(f"{source}: pairs must be TOML tables, each a [[pairs]]")


def _is_tables(section: object, kind: type[dict[str, object]] | type[list[object]]) -> bool:
    if not isinstance(section, kind):
        return False
    entries = section.values() if isinstance(section, dict) else section
    return all(isinstance(entry, dict) for entry in entries)


def _check_model(model: RegisteredModel, where: str) -> None:
    repositories: list[Repository] = [model, *model.alternatives]
    if len({repository.huggingface_id for repository in repositories}) < len(repositories):
        raise DataError(f"{where}: alternatives: one repository is named twice")
    for repository in repositories:
        if repository.revision and repository.huggingface_id.startswith("./"):
            name = repository.huggingface_id
            raise DataError(f"{where}: revision: {name} is a folder and has no revision")
    for alternative in model.alternatives:
        if alternative.row is not None and alternative.row not in published_rows():
            raise DataError(f"{where}: alternatives: no published row {alternative.row!r}")


R = TypeVar("R", bound=Repository)


def _resolve_paths(model: RegisteredModel, folder: Path | None) -> RegisteredModel:
    """Return the model with identifiers that begin with ``./`` made absolute paths."""
    alternatives = tuple(_resolve_path(entry, folder) for entry in model.alternatives)
    return _resolve_path(model, folder).model_copy(update={"alternatives": alternatives})


def _resolve_path(entry: R, folder: Path | None) -> R:
    if folder is None:
        return entry
    names = {"huggingface_id": entry.huggingface_id, "tokenizer": entry.tokenizer}
    paths = {f: str(folder.resolve() / name) for f, name in names.items() if name.startswith("./")}
    return entry.model_copy(update=paths)


def _check_pair(pair: Pair, models: Mapping[str, RegisteredModel], where: str) -> None:
    for role, key in (("base", pair.base), ("variant", pair.variant)):
        if key not in models:
            raise DataError(f"{where}: its {role} {key!r} is not among the models")
    if pair.base == pair.variant:
        raise DataError(f"{where}: base and variant are the same model")
    if pair.hypothesis == "as published" and not all(
        models[key].row in published_rows() for key in (pair.base, pair.variant)
    ):
        raise DataError(f"{where}: it has no published results; use gain or no gain")
    if pair.experiment != "control" and pair.experiment not in models[pair.variant].added:
        raise DataError(
            f"{where}: {pair.variant!r} does not have {pair.experiment!r} in its added training"
        )
    if not (pair.paper or pair.source):
        raise DataError(f"{where}: a pair that is not the paper's needs a source")


T = TypeVar("T", bound=Entry)


def _add(entries: dict[str, T], key: str, entry: T, where: str) -> None:
    if key in entries:
        raise DataError(f"{where}: the name is already taken; choose another")
    entries[key] = entry
