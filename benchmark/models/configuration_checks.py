"""Check a model's configuration before anything is built from it.

A value of a wrong type, out of range or absurdly large otherwise fails deep inside a library, takes
all memory, or changes a score silently. The fields are listed in ``configuration_fields.toml``.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Literal, TypeGuard

from pydantic import TypeAdapter

from benchmark.errors import DataError, ModelError, RefusedModelError, first_line
from benchmark.models.library_messages import collected_messages
from benchmark.models.location import Location
from benchmark.models.model_files import SETTINGS
from benchmark.models.stored_tensors import StoredTensor
from benchmark.models.unused_tensors import harmless_kind
from benchmark.models.validation import Entry, Items
from benchmark.package_data import package_toml
from benchmark.reading.documents import read_json

CONFIG = "config.json"
Kind = Literal[
    "count",
    "number",
    "positive",
    "token",
    "flag",
    "text",
    "texts",
    "special",
    "templates",
    "object",
]
Section = Mapping[str, object]

_EXPECTED: Mapping[Kind, str] = {
    "count": "an integer from {least} to {most}",
    "number": "a finite number",
    "positive": "a number above 0",
    "token": "a token id from 0 to {most}",
    "flag": "true or false",
    "text": "a string",
    "texts": "a list of strings",
    "special": "a token: a string, or an object with its content",
    "templates": "a template: a string, or a list of objects",
    "object": "an object",
}

_ROPE = ("rope_parameters", "rope_scaling")
_ROPE_TEXTS = ("rope_type", "type")
_ROPE_POSITIVE = ("rope_theta", "factor", "original_max_position_embeddings")
"""Divisors and bases of powers: others make all logits NaN."""
_SECTIONS = ("text_config", "llm_config", "language_config")
_VOCABULARY = ("vocab_size", "n_vocab")
_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")

_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks|layer)\.(\d+)\.")
_EMBEDDING = re.compile(
    r"(?:^|\.)(?:embed_tokens|wte|embed_in|word_embeddings|tok_embeddings|embeddings)\.weight$"
)
_SHOWN = 80


class ConfigurationField(Entry):
    """Fields of a file that are checked in the same way."""

    file: str
    kind: Kind
    names: Items[str]
    least: int = 1
    most: int = 0


@cache
def configuration_fields() -> tuple[ConfigurationField, ...]:
    """Return the fields that are checked."""
    entries = package_toml("models/configuration_fields.toml")["field"]
    return TypeAdapter(tuple[ConfigurationField, ...]).validate_python(entries)


def check_settings(location: Location) -> None:
    """Check the fields of the configuration files by themselves.

    Raises:
        RefusedModelError: naming the file and the field, if a value has a wrong type or is out of
            range.
    """
    sections = list(_sections(_read(location, CONFIG)))
    vocabulary = _first(sections, _VOCABULARY)
    for file in dict.fromkeys(field.file for field in configuration_fields()):
        parts = sections if file == CONFIG else [_read(location, file)]
        if file != CONFIG or not location.gguf:  # a GGUF file has its own configuration
            for section in parts:
                _check_fields(location.name, file, section, vocabulary)
    if sections[0] and not location.gguf:
        for section in sections:
            _check_rope(location.name, section)
        _check_with_library(location)


def check_against_weights(location: Location, stored: Sequence[StoredTensor]) -> None:
    """Check the numbers of layers and tokens in ``config.json`` against the stored tensors.

    Fewer layers than stored are left to the check of unused tensors, which knows exceptions.

    Raises:
        RefusedModelError: naming the field and the tensor.
    """
    sections = list(_sections(_read(location, CONFIG)))
    tensors = [tensor for tensor in stored if harmless_kind(tensor.name) is None]
    layers = _first(sections, _LAYERS)
    numbers = [int(match[1]) for t in tensors if (match := _LAYER.search(t.name))]
    if layers is not None and numbers and layers > max(numbers) + 1:
        raise RefusedModelError(
            f"{location.name}: {CONFIG} has {layers} layers, but the weights have "
            f"{max(numbers) + 1}; check that the files belong together"
        )
    size = _first(sections, _VOCABULARY)
    tables = [t for t in tensors if _EMBEDDING.search(t.name) and len(t.shape) > 1]
    if size is not None and tables and all(table.shape[0] != size for table in tables):
        raise RefusedModelError(
            f"{location.name}: vocab_size in {CONFIG} is {size}, but {tables[0].name} has "
            f"{tables[0].shape[0]} rows; check that the files belong together"
        )


def check_token_ids(location: Location, ids: Mapping[str, int | None]) -> None:
    """Check that special tokens of the tokenizer are in the vocabulary of the model.

    Raises:
        RefusedModelError: naming the token's role.
    """
    size = None if location.gguf else _first(list(_sections(_read(location, CONFIG))), _VOCABULARY)
    for role, token_id in ids.items():
        if size is not None and token_id is not None and token_id >= size:
            raise RefusedModelError(
                f"{location.name}: the {role} of the tokenizer has id {token_id}, but vocab_size "
                f"in {CONFIG} is {size}; check {role} in tokenizer_config.json"
            )


def named_fields(location: Location, error: Exception) -> str:
    """Return a hint at the fields of ``config.json`` that a library's error names by their values.

    It is empty if no field is recognized.
    """
    if location.gguf:
        return ""
    text = str(error)
    sections = list(_sections(_read(location, CONFIG)))
    nested = [value for section in sections for value in section.values()]
    fields = {
        field: value
        for section in [*sections, *(part for part in nested if isinstance(part, dict))]
        for field, value in section.items()
        if (isinstance(value, str) and value and f"'{value}'" in text)
        or (_is_integer(value) and f"({value})" in text)
    }
    shown = ", ".join(f"{field} ({_shown(value)})" for field, value in fields.items())
    return f"; check {shown} in {CONFIG}" if shown else ""


def _read(location: Location, name: str) -> dict[str, object]:
    path = (location.folder if name in SETTINGS else location.tokenizer_folder) / name
    try:
        return read_json(path, strict=False) if path.exists() else {}
    except DataError as error:
        raise ModelError(str(error)) from error


def _sections(config: Section) -> Iterator[Section]:
    """Yield a configuration, and that of the language model within it."""
    yield config
    for name in _SECTIONS:
        match config.get(name):
            case dict(section):
                yield section


def _first(sections: Sequence[Section], names: Sequence[str]) -> int | None:
    """Return the first of these fields that is an integer, in the innermost section."""
    values = (section.get(name) for section in reversed(sections) for name in names)
    return next((value for value in values if _is_integer(value)), None)


def _check_fields(name: str, file: str, section: Section, vocabulary: int | None) -> None:
    for field in configuration_fields():
        for key in field.names if field.file == file else ():
            value = section.get(key)
            least, most = field.least, field.most
            if field.kind == "token":
                least = -1 if key == "pad_token_id" else 0
                most = 2**31 if vocabulary is None else vocabulary - 1
            if value is not None and not _is_valid(value, field.kind, least, most):
                raise RefusedModelError(
                    f"{name}: {key} in {file} is {_shown(value)}, not "
                    + _EXPECTED[field.kind].format(least=least, most=most)
                )


def _is_valid(value: object, kind: Kind, least: int, most: int) -> bool:
    if kind in {"count", "token"}:  # some architectures list a size per layer; stops are several
        numbers = value if isinstance(value, list) else [value]
        return all(_is_integer(number) and least <= number <= most for number in numbers)
    if kind == "texts":
        return isinstance(value, list) and all(isinstance(text, str) for text in value)
    if kind == "special":
        return isinstance(value.get("content") if isinstance(value, dict) else value, str)
    if kind == "templates":
        parts = value if isinstance(value, list) else [value]
        return isinstance(value, str) or all(isinstance(part, dict) for part in parts)
    if kind in {"number", "positive"}:
        return _is_number(value) and (kind == "number" or value > 0)
    return isinstance(value, {"flag": bool, "object": dict}.get(kind, str))


def _check_rope(name: str, section: Section) -> None:
    """Check the parameters of rotary embeddings, which may be nested by kind of layer."""
    for key in _ROPE:
        match section.get(key):
            case dict(parameters):
                for part in (parameters, *(p for p in parameters.values() if isinstance(p, dict))):
                    _check_rope_part(name, key, part)


def _check_rope_part(name: str, key: str, part: Section) -> None:
    for field, value in part.items():
        kind: Kind = "positive" if field in _ROPE_POSITIVE else "number"
        if field in _ROPE_TEXTS:
            kind = "text"
        is_open = kind == "number" and isinstance(value, bool | dict)
        numbers = value if kind == "number" and isinstance(value, list) else [value]
        if value is not None and not is_open and not all(_is_valid(n, kind, 0, 0) for n in numbers):
            raise RefusedModelError(
                f"{name}: {field} of {key} in {CONFIG} is {_shown(value)}, not {_EXPECTED[kind]}"
            )


def _check_with_library(location: Location) -> None:
    """Check the fields that transformers itself checks, and those that make it fail."""
    from transformers import AutoConfig

    try:
        with collected_messages():  # loading the weights warns again, and keeps it
            AutoConfig.from_pretrained(location.folder, trust_remote_code=False)
    except (OSError, ValueError, LookupError, ImportError):
        return  # about the architecture or its code: loading says it
    except Exception as error:  # of any field
        # Its errors of a class of configurations have the actual one as their cause.
        cause = error.__cause__ if isinstance(error.__cause__, ValueError) else error
        kind = "" if isinstance(cause, ValueError) else f"{type(cause).__name__}: "
        raise ModelError(
            f"{location.name}: {CONFIG}: {kind}{first_line(cause)}{named_fields(location, cause)}"
        ) from error


def _is_integer(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> TypeGuard[int | float]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) or math.isfinite(value)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
