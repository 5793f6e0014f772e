"""Keep what GGUF files were converted to in the cache folder, for the next start.

A conversion is a folder named by its kind and a digest of its key: the digest of the file, the
releases of the libraries that convert it, and the digest of the benchmark's own code that loads
models. It is written completely or not at all. Every file in it has a digest, which is compared
whenever the file is read: a conversion that is damaged counts as missing and is made again. A cache
that cannot be written, or a full disk, costs only time.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Self

from benchmark.errors import DataError
from benchmark.folder_writing import replacing_folder
from benchmark.locking import locked_if_possible
from benchmark.models.cache_folder import cache_folder
from benchmark.models.digests import files_digest
from benchmark.reading.documents import read_json
from benchmark.writing import (
    ensure_folder,
    is_unfinished,
    remove_all_leftovers,
    unfinished_name,
)

FORMAT = 1
"""The version of what is kept; another one is never read."""

MOST_BYTES = 4 * 2**30
"""The bytes of all conversions; the least recently used are removed first."""

_LEFT_FREE = 2**30
"""The bytes of the disk that are left to others."""

_LIBRARIES = ("transformers", "tokenizers", "torch", "gguf", "accelerate", "numpy", "kernels")
"""Their releases decide the result of a conversion."""

_CODE = (".py", ".toml")
"""The files of the package that decide it too, and whether the file is refused."""

_CONTENT = "content.json"
_FORMER = "*-converted-????????????"
"""The folders of converted tokenizers that versions up to 0.3 wrote next to fetched models."""

_LOCK = "keep.lock"
_WAIT = 60.0
"""Seconds to wait for another process that keeps a conversion; it may be suspended."""

Files = Mapping[str, bytes | memoryview]


class DamagedConversionError(Exception):
    """A kept file is not what was written."""


class Conversion:
    """The place of one conversion of a file in the cache."""

    def __init__(self, path: Path, kind: str, key: Mapping[str, object]) -> None:
        """Take the file, what it is converted to, and everything that decides the result."""
        self._path, self._key = path, dict(key)
        self._digests = dict[str, object]()
        name = hashlib.sha256(json.dumps(self._key, sort_keys=True).encode()).hexdigest()[:24]
        self.folder = conversions_folder() / f"{kind}-{name}"

    @classmethod
    def of(cls, path: Path, kind: str, **options: str) -> Self | None:
        """Return the conversion of a file, None if nothing can be kept.

        That is so if the file cannot be read, or a library's release does not tell its code.
        """
        if (releases := _releases()) is None:
            return None
        try:
            digest = files_digest([path])
        except (OSError, DataError):  # reading the file says it
            return None
        key = {"format": FORMAT, "code": _code(), "file": digest, **releases, **options}
        return cls(path, kind, key)

    def document(self) -> dict[str, object] | None:
        """Return the document that was kept, None if it is missing or damaged."""
        content = self._content()
        if content is None:
            return None
        with suppress(OSError):
            os.utime(self.folder / _CONTENT)  # it was used now
        match content:
            case {"document": dict(document), "files": dict(digests)}:
                self._digests = digests
                return document
        return None

    def read_into(self, name: str, buffer: memoryview) -> None:
        """Fill a buffer with a file of the document that :meth:`document` has returned.

        Raises:
            DamagedConversionError: if the file is not the one that was kept.
            OSError: if it cannot be read.
        """
        path = self.folder / name
        with path.open("rb") as file:
            complete = path.stat().st_size == buffer.nbytes == file.readinto(buffer)
        if not complete or hashlib.sha256(buffer).hexdigest() != self._digests.get(name):
            raise DamagedConversionError(str(path))

    def read(self, name: str) -> bytearray:
        """Return a kept file; raise as :meth:`read_into`."""
        content = bytearray((self.folder / name).stat().st_size)
        self.read_into(name, memoryview(content))
        return content

    def files(self) -> dict[str, bytearray] | None:
        """Return all files by name, None if one of them is not what was kept."""
        if self.document() is None:
            return None
        try:
            return {name: self.read(name) for name in self._digests}
        except (OSError, DamagedConversionError):
            return None

    def keep(self, document: Mapping[str, object], files: Files) -> None:
        """Keep a document and files, if the cache can be written and has room for them."""
        size = sum(memoryview(content).nbytes for content in files.values())
        with suppress(OSError, DataError):
            root = self.folder.parent
            ensure_folder(root)
            with locked_if_possible(root / _LOCK, seconds=_WAIT):
                remove_all_leftovers(root)
                self.remove()
                fits = size <= MOST_BYTES and size + _LEFT_FREE <= shutil.disk_usage(root).free
                # A file that has changed meanwhile is not that of the key.
                if fits and files_digest([self._path]) == self._key["file"]:
                    _make_room(size)
                    self._write(document, files)

    def remove(self) -> None:
        """Remove the conversion at once, if it exists."""
        _remove(self.folder)

    def _write(self, document: Mapping[str, object], files: Files) -> None:
        with replacing_folder(self.folder) as new:
            for name, content in files.items():
                (new / name).write_bytes(content)
            digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
            body = {"key": self._key, "document": document, "files": digests}
            text = json.dumps({"sha256": _digest(body), "body": body})
            (new / _CONTENT).write_text(text, encoding="utf-8")

    def _content(self) -> dict[str, object] | None:
        try:
            content = read_json(self.folder / _CONTENT)
        except DataError:
            return None
        match content:
            case {"sha256": digest, "body": dict(body)} if digest == _digest(body):
                return body if body.get("key") == self._key else None
        return None


def conversions_folder() -> Path:
    """Return the folder of all conversions."""
    return cache_folder() / "conversions"


def clear_conversions() -> int:
    """Remove all conversions, also those of older versions; return their number.

    Raises:
        DataError: naming what cannot be removed, after all others were removed.
    """
    folders = [*_kept(), *cache_folder().glob(_FORMER)]
    leftovers = remove_all_leftovers(conversions_folder())
    if remaining := [*leftovers, *filter(None, map(_remove, folders))]:
        raise DataError(
            f"{remaining[0]}: cannot be removed; check its permissions and those of its folder, "
            "and rerun"
        )
    return len(folders)


def _kept() -> Iterator[Path]:
    """Yield the folders of all conversions, without those that processes are filling."""
    with suppress(OSError):
        for folder in sorted(conversions_folder().iterdir()):
            if not is_unfinished(folder) and (folder / _CONTENT).is_file():
                yield folder


def _make_room(size: int) -> None:
    """Remove the least recently used conversions, until there is room."""
    kept = list[tuple[float, int, Path]]()
    for folder in _kept():
        with suppress(OSError):  # another process has just removed it
            last_use = (folder / _CONTENT).stat().st_mtime
            kept.append((last_use, sum(path.stat().st_size for path in folder.iterdir()), folder))
    total = size + sum(folder_size for _, folder_size, _ in kept)
    for _, folder_size, folder in sorted(kept):
        if total <= MOST_BYTES:
            return
        _remove(folder)
        total -= folder_size


def _remove(folder: Path) -> Path | None:
    """Remove a folder; return where it remains, if it does.

    Other processes see it complete or not at all.
    """
    hidden = unfinished_name(folder)
    with suppress(OSError):
        folder.rename(hidden)
        shutil.rmtree(hidden, ignore_errors=True)
    return next((path for path in (folder, hidden) if path.exists()), None)


@cache
def _code() -> str:
    """Return the digest of the benchmark's own code that reads, checks and converts models."""
    return code_digest(files("benchmark.models"))


def code_digest(folder: Traversable) -> str:
    """Return a digest of the names and contents of a folder's source and data files."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if path.name.endswith(_CODE):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.name} {content}\n".encode())
    return digest.hexdigest()


def _releases() -> dict[str, str] | None:
    """Return the releases of the libraries; None if one is run from a folder with its sources."""
    releases = dict[str, str]()
    for name in _LIBRARIES:
        try:
            library = distribution(name)
        except PackageNotFoundError:
            releases[name] = "missing"
            continue
        origin = library.read_text("direct_url.json") or ""
        if "dir_info" in origin:
            return None
        releases[name] = f"{library.version} {origin}".strip()
    return releases


def _digest(body: object) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
