"""The cache of what GGUF files were converted to."""

import errno
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmark.errors import DataError
from benchmark.locking import LockHeldError, locked
from benchmark.models import conversions
from benchmark.models.conversions import (
    Conversion,
    DamagedConversionError,
    clear_conversions,
    code_digest,
    conversions_folder,
)
from benchmark.writing import unfinished_name

CONTENT = b"one" * 100
FILES: dict[str, bytes | memoryview] = {"a.bin": CONTENT, "b.bin": memoryview(b"two" * 100)}
DOCUMENT = {"x": [1, 2.5, None], "y": {"z": "Ä"}}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A file to convert; its content does not matter here."""
    path = tmp_path / "m.gguf"
    path.write_bytes(b"GGUF")
    return path


def _complete(conversion: Conversion) -> bool:
    files = conversion.files() or {}
    return {**files} == {name: bytearray(content) for name, content in FILES.items()}


def _folders() -> list[Path]:
    return [path for path in conversions_folder().iterdir() if path.is_dir()]


def _conversion(path: Path, **options: str) -> Conversion:
    conversion = Conversion.of(path, "weights", **options)
    assert conversion is not None
    return conversion


def test_what_was_kept_is_read(model: Path) -> None:
    """The next start has the same document and bytes; another option, file or name does not."""
    assert _conversion(model).document() is None
    _conversion(model).keep(DOCUMENT, FILES)
    again = _conversion(model)
    assert again.document() == DOCUMENT
    assert {name: bytes(again.read(name)) for name in FILES} == {
        name: bytes(content) for name, content in FILES.items()
    }
    assert _complete(again)
    assert _conversion(model, dtype="bfloat16").document() is None
    model.write_bytes(b"GGUF, changed")
    assert _conversion(model).document() is None


def _cut(folder: Path) -> None:
    os.truncate(folder / "a.bin", 10)


def _flip(folder: Path) -> None:
    (folder / "a.bin").write_bytes(b"One" + CONTENT[3:])


def _lengthen(folder: Path) -> None:
    (folder / "a.bin").write_bytes(CONTENT + b"x")


def _lose(folder: Path) -> None:
    (folder / "a.bin").unlink()


def _change_document(folder: Path) -> None:
    path = folder / "content.json"
    path.write_text(path.read_text().replace("2.5", "2.6"))


def _cut_document(folder: Path) -> None:
    os.truncate(folder / "content.json", 50)


def _move_from_another_key(folder: Path) -> None:
    other = _conversion(folder.parents[2].parent / "m.gguf", dtype="bfloat16")
    other.keep(DOCUMENT, FILES)
    shutil.copy(other.folder / "content.json", folder / "content.json")


@pytest.mark.parametrize(
    "damage",
    [_cut, _flip, _lengthen, _lose, _change_document, _cut_document, _move_from_another_key],
)
def test_damage_is_noticed_and_mended(model: Path, damage: object) -> None:
    """What was damaged is not used, and keeping it again replaces it."""
    assert callable(damage)
    _conversion(model).keep(DOCUMENT, FILES)
    damage(_conversion(model).folder)
    damaged = _conversion(model)
    if damaged.document() is not None:
        with pytest.raises((DamagedConversionError, OSError)):
            damaged.read("a.bin")
    assert damaged.files() is None
    damaged.keep(DOCUMENT, FILES)
    assert _complete(_conversion(model))


@pytest.mark.parametrize("name", ["transformers", "torch", "FORMAT", "_code"])
def test_another_version_is_another_conversion(
    model: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A release of each library that converts, the own format and code are in the key."""
    _conversion(model).keep(DOCUMENT, FILES)
    if name == "FORMAT":
        monkeypatch.setattr(conversions, "FORMAT", 99)
    elif name == "_code":
        monkeypatch.setattr(conversions, "_code", lambda: "another")
    else:
        releases = {**(conversions._releases() or {}), name: "99.0"}
        monkeypatch.setattr(conversions, "_releases", lambda: releases)
    assert _conversion(model).document() is None


def test_the_digest_of_the_code_covers_every_module_and_data_file(tmp_path: Path) -> None:
    """A fix in any of them reaches files that were converted before; a compiled module is none."""
    package = Path(conversions.__file__).parent
    code = shutil.copytree(package, tmp_path / "code", ignore=shutil.ignore_patterns("__pycache__"))
    assert code_digest(code) == conversions._code()
    digests = {code_digest(code)}
    for name in ("gguf_checks.py", "gguf_reading.py", "gguf_pre_tokenizers.toml"):
        with (code / name).open("a") as file:
            file.write("\n")
        digests.add(code_digest(code))
    assert len(digests) == 4
    (code / "__pycache__").mkdir()
    (code / "loading.pyc").write_bytes(b"compiled")
    assert code_digest(code) in digests


def test_a_library_run_from_its_sources_keeps_nothing(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its release does not tell its code."""
    origin = '{"dir_info": {"editable": true}, "url": "file:///x"}'
    library = SimpleNamespace(version="1.0", read_text=lambda _: origin)
    monkeypatch.setattr(conversions, "distribution", lambda _: library)
    assert Conversion.of(model, "weights") is None


def test_oldest_used_go_first(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes of all conversions have a bound, and one that is larger is not kept."""
    names = ("one", "two", "three")
    for age, name in enumerate(names):
        _conversion(model, dtype=name).keep(DOCUMENT, FILES)
        os.utime(_conversion(model, dtype=name).folder / "content.json", (age, age))
    size = sum(path.stat().st_size for path in conversions_folder().glob("*/*"))
    monkeypatch.setattr(conversions, "MOST_BYTES", size)
    assert _conversion(model, dtype="one").document()  # used now
    _conversion(model, dtype="four").keep(DOCUMENT, FILES)
    kept = [name for name in (*names, "four") if _conversion(model, dtype=name).document()]
    assert kept == ["one", "three", "four"]
    _conversion(model, dtype="large").keep({}, {"a.bin": bytes(size + 1)})
    assert _conversion(model, dtype="large").document() is None
    assert _conversion(model, dtype="four").document()


def test_a_conversion_that_vanishes_is_not_counted(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process has removed it between the listing and a look at its files."""
    _conversion(model, dtype="one").keep(DOCUMENT, FILES)
    gone = conversions_folder() / "weights-gone"
    monkeypatch.setattr(conversions, "_kept", lambda: iter([gone]))
    _conversion(model, dtype="two").keep(DOCUMENT, FILES)
    assert _conversion(model, dtype="two").document() == DOCUMENT


def test_one_process_at_a_time_makes_room(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that keep at once would not see each other's conversions, and exceed the bound."""
    held = list[bool]()

    def make_room(_: int) -> None:
        lock = locked(conversions_folder() / "keep.lock", "this", "do that", wait=False)
        with pytest.raises(LockHeldError), lock:
            pass
        held.append(True)

    monkeypatch.setattr(conversions, "_make_room", make_room)
    _conversion(model).keep(DOCUMENT, FILES)
    assert held == [True]
    assert _conversion(model).document() == DOCUMENT


def test_a_full_disk_is_left_alone(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is kept if less than a gigabyte would be free."""
    usage = shutil.disk_usage(model)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2**30))
    _conversion(model).keep(DOCUMENT, FILES)
    assert _conversion(model).document() is None


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_errors_of_storage_cost_only_time(
    model: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A write that fails leaves nothing behind, and is no error."""

    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "write_bytes", fail)
    _conversion(model).keep(DOCUMENT, FILES)
    assert _folders() == []


def test_a_cache_that_is_a_file_costs_only_time(model: Path, tmp_path: Path) -> None:
    """So does any other cache in which no folder can be made."""
    (tmp_path / "cache").write_text("not a folder")
    _conversion(model).keep(DOCUMENT, FILES)
    assert _conversion(model).document() is None
    assert clear_conversions() == 0


def test_a_file_that_changes_meanwhile_is_not_kept(model: Path) -> None:
    """The conversion would be of other content than its key says."""
    conversion = _conversion(model)
    model.write_bytes(b"GGUF, changed")
    conversion.keep(DOCUMENT, FILES)
    assert _folders() == []


def test_several_may_keep_and_read_at_once(model: Path) -> None:
    """A reader has the complete conversion or none."""

    def work(_: int) -> bool:
        conversion = _conversion(model)
        if conversion.files() is None:
            conversion.keep(DOCUMENT, FILES)
        return conversion.document() in (None, DOCUMENT)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(40)))


@pytest.fixture
def leftover(model: Path) -> Path:
    """A folder that a killed process was filling."""
    path = unfinished_name(_conversion(model).folder)
    path = path.with_name(path.name.replace(f"-{os.getpid()}.", "-999999999."))
    path.mkdir(parents=True)
    (path / "a.bin").write_bytes(b"half")
    return path


def test_leftovers_of_killed_processes_are_removed(model: Path, leftover: Path) -> None:
    """They never count as kept, and the next one that keeps removes them."""
    assert _conversion(model).document() is None
    _conversion(model).keep(DOCUMENT, FILES)
    assert not leftover.exists()


def test_a_folder_that_another_process_fills_is_left_alone(
    model: Path, leftover: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files are all there, but it is not in its place yet."""
    own = leftover.with_name(leftover.name.replace("-999999999.", f"-{os.getppid()}."))
    leftover.rename(own)
    (own / "content.json").write_text("{}")
    os.utime(own / "content.json", (0, 0))
    monkeypatch.setattr(conversions, "MOST_BYTES", 1000)
    for name in ("one", "two"):
        _conversion(model, dtype=name).keep({}, {"a.bin": bytes(600)})
    assert clear_conversions() == 1
    assert _folders() == [own]


def test_clearing(model: Path, tmp_path: Path) -> None:
    """All conversions are removed, and the folders that earlier versions wrote; nothing else."""
    for name in ("float32", "bfloat16"):
        _conversion(model, dtype=name).keep(DOCUMENT, FILES)
    cache = tmp_path / "cache" / "entity-tracking-benchmark"
    (cache / "llama-converted-0123456789ab").mkdir()
    (cache / "llama").mkdir()
    assert clear_conversions() == 3
    assert sorted(path.name for path in cache.iterdir()) == ["conversions", "llama"]
    assert clear_conversions() == 0


@pytest.mark.parametrize(
    ("module", "name", "remaining"),
    [(Path, "rename", "weights-"), (shutil, "rmtree", ".weights-")],
)
def test_what_cannot_be_removed_is_an_error(
    model: Path, monkeypatch: pytest.MonkeyPatch, module: object, name: str, remaining: str
) -> None:
    """The first folder that remains is named, also if it was hidden already."""

    def fail(path: Path, *_: object, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    _conversion(model).keep(DOCUMENT, FILES)
    with monkeypatch.context() as patch:
        patch.setattr(module, name, fail)
        with pytest.raises(DataError) as error:
            clear_conversions()
    folder, words = str(error.value).split(": ", 1)
    assert Path(folder).is_dir()
    assert Path(folder).name.startswith(remaining)
    assert words.startswith("cannot be removed; check its permissions")


def test_what_a_killed_process_left_is_named_if_it_remains(
    leftover: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes as much of the disk as a conversion."""
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
    with pytest.raises(DataError, match="cannot be removed") as error:
        clear_conversions()
    assert str(error.value).startswith(f"{leftover}: ")
