"""Check the ids of a tokenizer's files before a tokenizer is built from them.

The libraries keep tokens in a list that is as long as the largest id: one id of 2 ** 31 takes
gigabytes. Real tokenizers leave few ids unused.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from benchmark.errors import DataError, ModelError, RefusedModelError, reason
from benchmark.reading.bounds import current_bounds
from benchmark.reading.documents import read_json
from benchmark.reading.files import read_bytes, read_lines

_HARMLESS = 2**20
"""Ids below it are not checked: they are far more than real ones, and take little memory."""

_DIGITS = bytes(ord("0") if byte in b"0123456789" else ord(" ") for byte in range(256))
"""Translates digits to 0 and all else to a blank: a search in the result takes milliseconds."""

_TIKTOKEN = "*.tiktoken"

Ids = Iterator[tuple[str, int]]
"""Tokens with their ids."""


def check_ids(name: str, folder: Path) -> None:
    """Check the ids of all tokens in the files of a tokenizer.

    Raises:
        RefusedModelError: naming file and token, if an id is at least 2 ** 20 and twice the number
            of the file's tokens.
        ModelError: if a file cannot be read.
    """
    paths = [*(folder / file for file in _READERS), *folder.glob(_TIKTOKEN)]
    for path in filter(Path.is_file, paths):
        try:
            if _has_large_number(path):
                _check(name, path)
        except (DataError, OSError) as error:
            raise ModelError(f"{name}: cannot load its tokenizer: {reason(error)}") from error


def _has_large_number(path: Path) -> bool:
    """Return whether a number of the file may be too large an id; parsing it takes far longer."""
    content = read_bytes(path, current_bounds().unpacked)
    marks = content.translate(_DIGITS) + b" "
    digits = b"0" * len(str(_HARMLESS))
    start = marks.find(digits)
    while start >= 0:
        end = marks.find(b" ", start)
        number = content[start:end].lstrip(b"0")
        if len(number) > len(digits) or int(number or b"0") >= _HARMLESS:
            return True
        start = marks.find(digits, end)
    return False


def _check(name: str, path: Path) -> None:
    if path.name in _READERS:
        ids = dict(_READERS[path.name](read_json(path, strict=False)))
    else:
        ids = dict(_tiktoken_ids(path))
    most = max(_HARMLESS, 2 * len(ids)) - 1
    for token, token_id in ids.items():
        if token_id > most:
            raise RefusedModelError(
                f"{name}: {path.name} has id {str(token_id)[:20]} for {token[:40]!r}, not an id "
                f"from 0 to {most}; download the model again"
            )


def _tokenizer_ids(document: Mapping[str, object]) -> Ids:
    match document.get("model"):
        case {"vocab": dict(vocabulary)}:
            yield from _integers(vocabulary)
        case {"vocab": list(pieces)}:  # their ids are their places
            yield from ((str(place), place) for place in range(len(pieces)))
    yield from _listed(document.get("added_tokens"), "content", "id")


def _tekken_ids(document: Mapping[str, object]) -> Ids:
    yield from _listed(document.get("vocab"), "token_bytes", "rank")
    yield from _listed(document.get("special_tokens"), "token_str", "rank")


def _decoder_ids(document: Mapping[str, object]) -> Ids:
    match document.get("added_tokens_decoder"):
        case dict(tokens):
            yield from ((key, int(key)) for key in tokens if re.fullmatch("[0-9]{1,20}", key))


def _tiktoken_ids(path: Path) -> Ids:
    """Yield the lines of a file of tiktoken: a token in base 64, and its id."""
    for line in read_lines(path, regular=True):
        token, _, token_id = line.strip().partition(" ")
        if re.fullmatch("[0-9]{1,20}", token_id):
            yield token, int(token_id)


def _integers(ids: Mapping[str, object]) -> Ids:
    return ((token, number) for token, number in ids.items() if isinstance(number, int))


def _listed(tokens: object, key: str, id_key: str) -> Ids:
    """Yield the tokens of a list of objects."""
    for token in tokens if isinstance(tokens, list) else []:
        match token:
            case {**fields} if isinstance(number := fields.get(id_key), int):
                yield str(fields.get(key)), number


_READERS: Mapping[str, Callable[[Mapping[str, object]], Ids]] = {
    "tokenizer.json": _tokenizer_ids,
    "vocab.json": _integers,
    "added_tokens.json": _integers,
    "tokenizer_config.json": _decoder_ids,
    "tekken.json": _tekken_ids,
}
