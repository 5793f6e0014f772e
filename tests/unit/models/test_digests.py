"""Digests of a model's files: of every byte, kept for large files, and those of older versions."""

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmark.errors import DataError
from benchmark.models import digests
from benchmark.models.digests import files_digest, former_digest, is_comparable, is_local

OLD = 1_000_000_000_000_000_000
"""A time of modification in nanoseconds, long ago."""


def _naive(paths: list[Path], block: int) -> str:
    lines = ""
    for path in paths:
        content, parts = path.read_bytes(), b""
        for start in range(0, max(1, len(content)), block):
            parts += hashlib.sha256(content[start : start + block]).digest()
        lines += f"{path.name} {hashlib.sha256(parts).hexdigest()}\n"
    return "sha256-tree:" + hashlib.sha256(lines.encode()).hexdigest()[:16]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(contents=st.lists(st.binary(max_size=50), max_size=3), block=st.integers(1, 20))
def test_digest_is_of_names_and_blocks(contents: list[bytes], block: int, tmp_path: Path) -> None:
    """The digest is that of names with the digests of all blocks."""
    paths = [tmp_path / f"{n}.bin" for n in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digests, "_BLOCK", block)
        assert files_digest(paths) == _naive(paths, block)


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file whose digest is kept, in a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(digests, "_LARGE", 100)
    monkeypatch.setattr(digests, "_BLOCK", 30)
    monkeypatch.setattr(digests, "_SETTLED", 0.0)
    path = tmp_path / "model.safetensors"
    path.write_bytes(bytes(1000))
    return path


def _count_reading(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    read = list[Path]()
    real = digests._tree_digest

    def counted(path: Path, size: int) -> str:
        read.append(path)
        return real(path, size)

    monkeypatch.setattr(digests, "_tree_digest", counted)
    return read


def test_digest_of_a_large_file_is_kept(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unchanged large file is read once, under another spelling of its path too."""
    read = _count_reading(monkeypatch)
    first = files_digest([large])
    spelled = large.parent / "." / ".." / large.parent.name / large.name
    assert files_digest([large]) == files_digest([spelled]) == first
    assert read == [large]


def test_changed_file_is_read_again(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One changed byte changes the digest, also if the time of modification is set back."""
    os.utime(large, ns=(OLD, OLD))
    before = files_digest([large])
    with large.open("r+b") as file:
        file.seek(517)
        file.write(b"\1")
    os.utime(large, ns=(OLD, OLD))
    assert files_digest([large]) != before
    read = _count_reading(monkeypatch)
    large.with_name("other").write_bytes(bytes(1000))
    large.with_name("other").replace(large)
    assert files_digest([large]) == before
    assert read == [large]


def test_digest_of_a_file_that_just_changed_is_not_kept(
    large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change within the resolution of a file system's times would be overlooked."""
    monkeypatch.setattr(digests, "_SETTLED", 60.0)
    read = _count_reading(monkeypatch)
    assert files_digest([large]) == files_digest([large])
    assert read == [large, large]


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"digest": 1}', '{"state": {}, "digest": "a"}']
)
def test_damaged_cache_is_not_believed(large: Path, content: str) -> None:
    """A damaged entry is replaced."""
    digest = files_digest([large])
    (kept,) = (large.parent / "cache").rglob("*.json")
    good = kept.read_text()
    kept.write_text(content)
    assert files_digest([large]) == digest
    assert kept.read_text() == good


def test_cache_that_cannot_be_written(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a cache, the file is read each time."""
    blocked = large.parent / "file"
    blocked.touch()
    expected = files_digest([large])
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    assert files_digest([large]) == expected


def test_pipe_is_refused(tmp_path: Path) -> None:
    """A pipe is refused, not waited for."""
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(DataError, match="not a regular file"):
        files_digest([tmp_path / "config.json"])


def test_digest_of_older_versions(tmp_path: Path) -> None:
    """The sampled digest is the one that version 0.1 recorded of a committed model."""
    track = Path(__file__).parents[3] / "fixtures" / "models" / "track"
    assert former_digest([track / "model.safetensors"]) == "sha256:095329e73d107dd7"
    path = tmp_path / "a"
    path.write_bytes(bytes(1000))
    assert former_digest([path]).startswith("sha256:")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("sha256-tree:1", "sha256-tree:2", True),
        ("sha256:1", "sha256:2", True),
        ("sha256:1", "sha256-tree:1", False),
        ("sha256:1", "commit:1", True),
        ("sha256-tree:1", None, True),
        ("4.57", "5.0", True),
    ],
)
def test_digests_of_one_scheme_are_comparable(
    one: object,
    other: object,
    expected: bool,  # noqa: FBT001
) -> None:
    """Digests of local files by different schemes say nothing about each other."""
    assert is_comparable(one, other) is expected
    assert is_comparable(other, one) is expected


def test_local_digests() -> None:
    """Both schemes are of local files; a commit is not."""
    assert [is_local(d) for d in ("sha256:1", "sha256-tree:1", "commit:1")] == [True, True, False]
