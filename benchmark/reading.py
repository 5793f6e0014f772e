"""Read files from other sources: one reader per format, each with bounds.

A file may be hostile or damaged: it may never end, unpack to gigabytes, nest endlessly, or be a
pipe without a writer. Every reader stops at a bound and raises an error of one line that names the
file, the bound, and how to raise it. The bounds, in :class:`Bounds`, are far
above the sizes of the benchmark's own files.
"""

import io
import json
import lzma
import math
import os
import re
import select
import stat
import tomllib
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import BinaryIO, Protocol, TypedDict, TypeVar

from benchmark.errors import DataError, reason

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is read of one file; sizes in bytes.

    Attributes:
        document: a JSON or TOML document, a table, a template.
        line: a line of JSON lines or of a table.
        unpacked: what a gzip file, an xz file, or a member of an archive unpacks to.
        depth: how deep the arrays and objects of a document nest.
    """

    document: int = 64 * 2**20
    line: int = 2**20
    unpacked: int = 512 * 2**20
    depth: int = 100

    def scaled(self, factor: float) -> "Bounds":
        """Return bounds that are ``factor`` times as wide."""
        wider = {f.name: int(getattr(self, f.name) * factor) for f in fields(self)}
        return replace(self, **wider)


_USUAL = Bounds()
_BOUNDS = ContextVar("bounds", default=_USUAL)

_DICTIONARY = 256 * 2**20
"""The memory that unpacking xz may take, in bytes; its highest preset takes 65 MiB."""

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

_WAIT = 5.0
"""The seconds that a program has to begin to write to a pipe."""

_ADVICE = "; use sys."
"""Where Python's message about a long integer begins to advise a call."""

_HOW = "read more with: python -m benchmark --read-limit 4 VERB"


@contextmanager
def bounds(factor: float) -> Iterator[None]:
    """Read up to ``factor`` times as much as usual, within this context."""
    token = _BOUNDS.set(_USUAL.scaled(factor))
    try:
        yield
    finally:
        _BOUNDS.reset(token)


def raise_bounds(factor: float) -> None:
    """Read up to ``factor`` times as much as usual from now on, in this process."""
    _BOUNDS.set(_USUAL.scaled(factor))


def size(count: int) -> str:
    """Return a number of bytes in words: ``size(2**20)`` is ``1 MiB``."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:  # noqa: PLR2004  # binary units
            return f"{count} {unit}"
        count //= 1024
    return f"{count} GiB"


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading; opening a pipe, socket or device may never end.

    Raises:
        DataError: if it is something else.
        OSError: if it cannot be opened.
    """
    # A pipe without a writer is then opened immediately, and refused.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DataError(f"{path}: not a regular file; give one")
    return os.fdopen(descriptor, "rb")


def read_bytes(path: Path, bound: int | None = None) -> bytes:
    """Return the content of a regular file.

    Args:
        path: the file.
        bound: the number of bytes that it may have; by default that of a document.

    Raises:
        DataError: if it is longer, or not a regular file.
        OSError: if it cannot be read.
    """
    limit = _BOUNDS.get().document if bound is None else bound
    with open_regular(path) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise DataError(f"{path}: longer than {size(limit)}; {_HOW}")
    return content


def read_text(path: Path) -> str:
    """Return the text of a document in UTF-8; a byte order mark in front is dropped.

    Raises:
        DataError: if it cannot be read, is not UTF-8 or too long.
    """
    try:
        return read_bytes(path).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {reason(error)}") from error


def read_lines(path: Path, *, regular: bool = False) -> Iterator[str]:
    """Yield the lines of a file in UTF-8, with their ends; a byte order mark is dropped.

    A pipe (``--data <(zcat data.jsonl.gz)``) is read line by line, too, unless only a ``regular``
    file is accepted.

    Raises:
        DataError: if it cannot be read, is not UTF-8, or has a line that is too long.
    """
    try:
        with open_regular(path) if regular else _open_readable(path) as file:
            yield from decoded_lines(file, str(path))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {reason(error)}") from error


def _open_readable(path: Path) -> BinaryIO:
    """Open a file, a device, or a pipe that a program writes to.

    Raises:
        DataError: if no program opens the pipe for writing within seconds.
        OSError: if it cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    if stat.S_ISFIFO(os.fstat(descriptor).st_mode) and not _has_writer(descriptor):
        os.close(descriptor)
        raise DataError(f"{path}: no program writes to this pipe; start one, or name a file")
    os.set_blocking(descriptor, True)
    return os.fdopen(descriptor, "rb")


def _has_writer(pipe: int) -> bool:
    """Return whether a pipe that does not block has content, or a program that may write some."""
    if select.select([pipe], [], [], _WAIT)[0]:
        return True
    try:
        os.read(pipe, 1)  # at its end at once, if no program has opened it
    except BlockingIOError:
        return True
    return False


def decoded_lines(file: BinaryIO, source: str) -> Iterator[str]:
    """Yield the lines of an open file as :func:`read_lines` does; ``source`` names it in errors.

    Raises:
        DataError: naming source and line, if a line is not UTF-8 or too long.
    """
    limit = _BOUNDS.get().line
    number = 0
    while line := file.readline(limit + 1):
        number += 1
        if len(line) > limit:
            raise DataError(f"{source}:{number}: a line longer than {size(limit)}; {_HOW}")
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{source}:{number}: cannot be read: {error.reason}") from error


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
        raise DataError(f"{where}: nested too deeply; {_HOW}") from error
    except ValueError as error:  # among them integers of more than 4,300 digits
        _check_no_pointer(text, where)
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
    limit = _BOUNDS.get().depth
    # tomllib's time is quadratic in the parts of a key.
    if any(_parts(token) > limit for token in _TOML.finditer(text)):
        raise DataError(f"{where}: nested more than {limit} deep; {_HOW}")
    try:
        value = tomllib.loads(text, parse_float=_finite)
    except RecursionError as error:
        raise DataError(f"{where}: nested too deeply; {_HOW}") from error
    except ValueError as error:
        _check_no_pointer(text, where)
        raise DataError(f"{where}: not TOML: {str(error).partition(_ADVICE)[0]}") from error
    return _checked_depth(value, where)


def read_toml(path: Path) -> dict[str, object]:
    """Return the tables of a TOML file.

    Raises:
        DataError: if it cannot be read or is not TOML.
    """
    return parse_toml(read_text(path), str(path))


def gunzip(packed: bytes, where: str) -> bytes:
    """Return the content of gzip data.

    Raises:
        DataError: if that is more than the bound, or the data are damaged or cut off.
    """
    return _unpacked(_Gzip(), packed, where, "gzip")


def unxz(packed: bytes, where: str) -> bytes:
    """Return the content of xz data.

    Raises:
        DataError: if that is more than the bound, or the data are damaged or cut off.
    """
    return _unpacked(lzma.LZMADecompressor(memlimit=_DICTIONARY), packed, where, "xz")


def check_archive(content: bytes, where: str) -> None:
    """Check the unpacked size that the members of a ZIP archive declare.

    Raises:
        DataError: if that is more than the bound, or the content is not a ZIP archive.
    """
    limit = _BOUNDS.get().unpacked
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            total = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, ValueError, EOFError, OSError) as error:
        raise DataError(f"{where}: not a ZIP archive, or damaged: {error}") from error
    if total > limit:
        raise DataError(f"{where}: unpacks to more than {size(limit)}; {_HOW}")


class _Hooks(TypedDict, total=False):
    """Arguments of ``json.loads``."""

    object_pairs_hook: Callable[[list[tuple[str, object]]], object]
    parse_float: Callable[[str], float]
    parse_constant: Callable[[str], float]


class _Unpacker(Protocol):
    """A decompressor that unpacks up to a number of bytes."""

    @property
    def eof(self) -> bool:
        """Whether the end of the packed data was reached."""

    @property
    def unused_data(self) -> bytes:
        """What follows the end of the packed data."""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Return the first bytes that the data unpack to."""


class _Gzip:
    """zlib's decompressor, whose second argument has another name."""

    def __init__(self) -> None:
        self._unpacker = zlib.decompressobj(wbits=31)  # with a header and trailer of gzip

    @property
    def eof(self) -> bool:
        return self._unpacker.eof

    @property
    def unused_data(self) -> bytes:
        return self._unpacker.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._unpacker.decompress(data, max_length)


def read_member(file: BinaryIO, where: str) -> bytes:
    """Return the content of an archive's member that is open for reading.

    Raises:
        DataError: if it is longer than the bound.
    """
    limit = _BOUNDS.get().unpacked
    content = io.BytesIO()
    while content.tell() <= limit and (block := file.read(2**20)):
        content.write(block)
    if content.tell() > limit:
        raise DataError(f"{where}: unpacks to more than {size(limit)}; {_HOW}")
    return content.getvalue()


def _unpacked(unpacker: _Unpacker, packed: bytes, where: str, form: str) -> bytes:
    limit = _BOUNDS.get().unpacked
    try:
        content = unpacker.decompress(packed, limit + 1)
    except (zlib.error, lzma.LZMAError, EOFError) as error:
        raise DataError(f"{where}: not {form}, or damaged: {error}") from error
    if len(content) > limit:
        raise DataError(f"{where}: unpacks to more than {size(limit)}; {_HOW}")
    if not unpacker.eof:
        raise DataError(f"{where}: not {form}, or damaged: it is cut off")
    if unpacker.unused_data:
        raise DataError(f"{where}: not {form}, or damaged: more data follow its end")
    return content


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
    limit = _BOUNDS.get().depth
    levels: list[Iterator[object]] = [iter((value,))]
    while levels:
        for inner in levels[-1]:
            if inner and isinstance(inner, dict | list):
                levels.append(iter(inner.values() if isinstance(inner, dict) else inner))
                break
        else:
            levels.pop()
        if len(levels) > limit:
            raise DataError(f"{where}: nested more than {limit} deep; {_HOW}")
    return value


def _check_no_pointer(text: str, where: str) -> None:
    """Name a pointer of Git LFS, which stands in place of a file that was not fetched."""
    if text.startswith(_POINTER):
        raise DataError(f"{where}: a Git LFS pointer, not the file: run git lfs pull")


def _parts(token: re.Match[str]) -> int:
    """Return the number of parts of a dotted key of TOML, 0 for anything else."""
    return len(re.findall(_PART, token[0])) if token["key"] and "." in token[0] else 0
