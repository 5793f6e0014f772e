"""Real models and tokenizers out of package registries, into a cache on this machine."""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmark.errors import ModelError, SettingError
from benchmark.models.bos import BosRule
from benchmark.models.tokenizer import TransformersTokenizer

_PATIENCE = 900
"""Seconds that a download may take."""

_COMMANDS = {
    "pip": [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", "."],
    "pip-source": [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", "."),
        # Not :all:, which would build pip's own build tools from source as well.
        *("--no-binary", "llama-cpp-python"),
    ],
    "npm": ["npm", "pack", "--silent"],
}


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file in the cache: where its parts are in packages, and the digest it must have."""

    members: tuple[str, ...]
    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class VocabularySource:
    """What to get from which package of which registry, and what kind of files it gives.

    ``adds_bos`` says whether the model's own tokenizer puts a BOS before a text.
    """

    name: str
    what: str
    registry: str
    packages: tuple[str, ...]
    size: str
    kind: str
    adds_bos: bool
    files: tuple[SourceFile, ...]

    @property
    def folder(self) -> Path:
        """Where its files are once they are fetched."""
        return cache_folder() / self.name

    @property
    def present(self) -> bool:
        """Whether all its files are there."""
        return all((self.folder / file.name).is_file() for file in self.files)

    @property
    def command(self) -> str:
        """The command that gets it."""
        return f"python -m benchmark fetch {self.name}"


@cache
def sources() -> dict[str, VocabularySource]:
    """All sources by name."""
    text = files("benchmark.models").joinpath("sources.toml").read_text(encoding="utf-8")
    return {name: _source(name, **data) for name, data in tomllib.loads(text).items()}


def _source(
    name: str,
    files: list[dict[str, Any]],
    packages: list[str],
    **fields: Any,  # noqa: ANN401
) -> VocabularySource:
    listed = (SourceFile(tuple(f["members"]), f["name"], f["sha256"]) for f in files)
    return VocabularySource(name=name, files=tuple(listed), packages=tuple(packages), **fields)


def source(name: str) -> VocabularySource:
    """The source of that name.

    Raises:
        SettingError: when there is none.
    """
    if name not in sources():
        raise SettingError(f"nothing called {name!r} to fetch; choose of {', '.join(sources())}")
    return sources()[name]


def fetch(wanted: VocabularySource) -> Path:
    """The folder with the files of the source, downloaded when they are not there yet.

    Raises:
        ModelError: when the registry cannot be reached or gives other files than expected.
    """
    if wanted.present:
        return wanted.folder
    wanted.folder.mkdir(parents=True, exist_ok=True)
    # Several sources may come from one package: all of them are taken from one download.
    same = [other for other in sources().values() if other.packages == wanted.packages]
    with TemporaryDirectory(dir=wanted.folder.parent) as temporary:
        archives = _download(wanted, Path(temporary))
        for each in same:
            _extract(archives, each)
    return wanted.folder


def load_source_tokenizer(wanted: VocabularySource) -> TransformersTokenizer:
    """The tokenizer of a fetched source.

    Raises:
        ModelError: when the source is not fetched, naming the command that does.
    """
    if not wanted.present:
        raise ModelError(f"{wanted.name}: not fetched yet; run: {wanted.command}")
    from benchmark.models.vocabularies import load_vocabulary

    raw = load_vocabulary(wanted.folder, wanted.kind)
    return TransformersTokenizer(raw, wanted.name, BosRule(wanted.adds_bos, "sources.toml"))


def cache_folder() -> Path:
    """Where downloads and environments are kept on this machine."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "entity-tracking-benchmark"


def _download(wanted: VocabularySource, folder: Path) -> list[Path]:
    command, packages = [*_COMMANDS[wanted.registry], *wanted.packages], ", ".join(wanted.packages)
    if shutil.which(command[0]) is None:
        raise ModelError(f"{wanted.name}: needs {command[0]}, which is not installed here")
    # The command is one of ours above, the package one of sources.toml.
    try:
        done = subprocess.run(  # noqa: S603
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=_PATIENCE
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(
            f"{wanted.name}: {packages} did not come within {_PATIENCE} s; try again"
        ) from error
    archives = [path for path in folder.iterdir() if path.is_file()]
    if done.returncode != 0 or len(archives) < len(wanted.packages):
        reason = (done.stderr.strip().splitlines() or ["no file came"])[-1]
        raise ModelError(f"{wanted.name}: cannot get {packages}: {reason}")
    return archives


def _extract(archives: Iterable[Path], wanted: VocabularySource) -> None:
    wanted.folder.mkdir(parents=True, exist_ok=True)
    contents = dict[str, bytes]()
    for archive in archives:
        try:
            contents |= _read_members(archive, {m for file in wanted.files for m in file.members})
        except (tarfile.TarError, zipfile.BadZipFile) as error:
            raise ModelError(f"{wanted.name}: {archive.name} came damaged: {error}") from error
    for file in wanted.files:
        content = b"".join(contents.get(member, b"") for member in file.members)
        if hashlib.sha256(content).hexdigest() != file.sha256:
            packages = ", ".join(wanted.packages)
            raise ModelError(f"{wanted.name}: {packages} does not hold the expected {file.name}")
        partial = wanted.folder / f".{file.name}.{os.getpid()}.part"
        partial.write_bytes(content)
        partial.replace(wanted.folder / file.name)


def _read_members(archive: Path, members: Iterable[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as wheel:
            for name in set(members) & set(wheel.namelist()):
                found[name] = wheel.read(name)
        return found
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.name in members and (file := tar.extractfile(member)):
                found[member.name] = file.read()
    return found
