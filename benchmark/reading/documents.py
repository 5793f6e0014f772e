"""Read JSON and TOML documents."""

import json
import math
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypedDict, TypeVar

from benchmark.errors import DataError
from benchmark.reading.bounds import READ_MORE, current_bounds
from benchmark.reading.files import read_text

T = TypeVar("T")

_PART = r"""(?:[\w-]++|"(?:\\[^\n]|[^"\\\n])*+"?|'[^'\n]*+'?)"""
"""A part of a TOML key: bare, or in quotation marks, which an error may leave open."""

_TOML = re.compile(
    r'''"""(?:\\.|(?!""")[^\\])*+(?:"{3,5}|\Z)'''
    r"""|'{3}(?:(?!'{3}).)*+(?:'{3,5}|\Z)|\#[^\n]*+"""
    rf"|(?P<key>{_PART}(?:[ \t]*+\.[ \t]*+{_PART})*+)",
    re.DOTALL,
)
"""Multi-line texts, comments, and keys; quantifiers do not backtrack, which takes linear time."""

_POINTER = "version https://git-lfs.github.com/spec/"

_ADVICE = "; use sys."
"""Where Python's message about a long integer begins to advise a call."""


def parse_json(text: str, where: str, *, strict: bool = True) -> object:
    """Return the value of a JSON text.

    Args:
        text: the JSON.
        where: names it in errors: a file, or a file and a line.
        strict: whether a name that occurs twice in an object is an error, and a number that is
            infinite or none. Files of models have both, as their libraries accept them.

    Raises:
        DataError: if it is not JSON, too deep, or has a number of thousands of digits.
    """
    hooks = _STRICT if strict else {}
    try:
        value = json.loads(text, **hooks)
    except RecursionError as error:
        raise DataError(f"{where}: nested too deeply") from error
    except ValueError as error:  # among them integers of more than 4,300 digits
        check_no_pointer(text, where)
        raise DataError(
            f"{where}: not JSON: {getattr(error, 'msg', str(error).partition(_ADVICE)[0])}"
        ) from error
    return _checked_depth(value, where)


def json_object(text: str, where: str, *, strict: bool = True) -> dict[str, object]:
    """Return the object of a JSON text.

    Raises:
        DataError: as :func:`parse_json`, and if it is another value than an object.
    """
    value = parse_json(text, where, strict=strict)
    if not isinstance(value, dict):
        raise DataError(f"{where}: not a JSON object but {text.strip()[:40]!r}")
    return value


def read_json(path: Path, *, strict: bool = True) -> dict[str, object]:
    """Return the JSON object of a file.

    Raises:
        DataError: if it cannot be read or is not a JSON object.
    """
    return json_object(read_text(path), str(path), strict=strict)


def parse_toml(text: str, where: str) -> dict[str, object]:
    """Return the tables of a TOML text.

    Raises:
        DataError: if it is not TOML or nested too deeply.
    """
    limit = current_bounds().depth
    # tomllib's time is quadratic in the parts of a key.
    if any(_parts(token) > limit for token in _TOML.finditer(text)):
        raise DataError(f"{where}: nested more than {limit} deep; {READ_MORE}")
    try:
        value = tomllib.loads(text, parse_float=_finite)
    except RecursionError as error:
        raise DataError(f"{where}: nested too deeply") from error
    except ValueError as error:
        check_no_pointer(text, where)
        raise DataError(f"{where}: not TOML: {str(error).partition(_ADVICE)[0]}") from error
    return _checked_depth(value, where)


def read_toml(path: Path) -> dict[str, object]:
    """Return the tables of a TOML file.

    Raises:
        DataError: if it cannot be read or is not TOML.
    """
    return parse_toml(read_text(path), str(path))


class _Hooks(TypedDict, total=False):
    """Arguments of ``json.loads``."""

    object_pairs_hook: Callable[[list[tuple[str, object]]], object]
    parse_float: Callable[[str], float]
    parse_constant: Callable[[str], float]


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return the object of these pairs.

    Raises:
        ValueError: if a field occurs twice: one of its values would be ignored silently.
    """
    names = dict(pairs)
    if len(names) < len(pairs):
        raise ValueError("a field occurs twice")
    return names


def _finite(number: str) -> float:
    """Return a number.

    Raises:
        ValueError: if it is not one, or beyond the largest: comparisons with it would mislead.
    """
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number[:20]} is not a finite number")
    return value


_STRICT: _Hooks = {
    "object_pairs_hook": _unique,
    "parse_float": _finite,
    "parse_constant": _finite,  # NaN and infinities, which JSON does not have
}


def _checked_depth(value: T, where: str) -> T:
    """Return the value, if it is not nested deeper than the bound."""
    limit = current_bounds().depth
    levels: list[Iterator[object]] = [iter((value,))]
    while levels:
        for inner in levels[-1]:
            if inner and isinstance(inner, dict | list):
                levels.append(iter(inner.values() if isinstance(inner, dict) else inner))
                break
        else:
            levels.pop()
        if len(levels) > limit:
            raise DataError(f"{where}: nested more than {limit} deep; {READ_MORE}")
    return value


def check_no_pointer(content: str | bytes, where: str) -> None:
    """Refuse a pointer of Git LFS, which replaces a file that was not fetched.

    Raises:
        DataError: if it is one.
    """
    start = content[: len(_POINTER)]
    if start == (_POINTER if isinstance(start, str) else _POINTER.encode()):
        raise DataError(f"{where}: a Git LFS pointer, not the file: run git lfs pull")


def _parts(token: re.Match[str]) -> int:
    """Return the number of parts of a dotted key of TOML, 0 for anything else."""
    return len(re.findall(_PART, token[0])) if token["key"] and "." in token[0] else 0
