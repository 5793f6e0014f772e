"""Files and folders are replaced by one rename, and leftovers of ended processes are removed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark import writing
from benchmark.errors import DataError


@pytest.fixture(scope="module")
def dead() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    """If writing fails midway, the old file is unchanged and no other file is left."""
    target = tmp_path / "out.jsonl"
    target.write_text("old\n")

    def parts() -> Iterator[str]:
        yield "new\n"
        raise RuntimeError

    with pytest.raises(RuntimeError):
        writing.write_text(target, parts())
    assert target.read_text() == "old\n"
    assert list(tmp_path.iterdir()) == [target]


def test_line_ends_and_letters_are_as_given(tmp_path: Path) -> None:
    """Bytes are the UTF-8 of the parts, line ends untouched, and folders are made."""
    target = tmp_path / "a" / "b" / "out"
    writing.write_text(target, ["ü\n", "x\r\n"])
    assert target.read_bytes() == b"\xc3\xbc\nx\r\n"


def test_a_link_is_followed(tmp_path: Path) -> None:
    """Writing to a link writes the file it names and leaves the link."""
    (tmp_path / "file").write_text("old")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "file")
    writing.write_text(link, ["new"])
    assert link.is_symlink()
    assert (tmp_path / "file").read_text() == "new"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full (Linux)")
def test_a_device_is_written_to_and_not_replaced() -> None:
    """A device stays a device: /dev/full says that no space is left."""
    device = Path("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        writing.write_text(device, ["x" * 10_000])
    assert device.is_char_device()
    assert not [name for name in os.listdir("/dev") if name.endswith(".part")]  # noqa: PTH208


@pytest.mark.parametrize("exchange", [True, False], ids=["exchange", "two-renames"])
def test_a_folder_is_replaced_whole(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    exchange: bool,  # noqa: FBT001
) -> None:
    """Files of the new folder replace old ones; other old files are kept."""
    if not exchange:
        monkeypatch.setattr(writing, "_exchanged", lambda *_: False)
    target = tmp_path / "report"
    (target / "tables").mkdir(parents=True)
    (target / "index.html").write_text("old")
    (target / "tables" / "notes.txt").write_text("mine")
    with writing.replacing_folder(target) as folder:
        (folder / "index.html").write_text("new")
        (folder / "tables").mkdir()
        (folder / "tables" / "table-1.md").write_text("new")
        assert (target / "index.html").read_text() == "old"
    content = {p.relative_to(target).as_posix(): p.read_text() for p in target.rglob("*.*")}
    assert content == {"index.html": "new", "tables/table-1.md": "new", "tables/notes.txt": "mine"}
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("inside", [True, False], ids=["inside", "others"])
def test_a_shared_folder_stays(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    inside: bool,  # noqa: FBT001
) -> None:
    """A working directory, or a folder with other entries, gets the files and is not replaced."""
    target = tmp_path / "home"
    target.mkdir()
    (target / "index.html").write_text("old")
    if inside:
        monkeypatch.chdir(target)
    else:
        (target / "thesis.tex").write_text("mine")
    identity = target.stat().st_ino
    with writing.replacing_folder(target) as folder:
        (folder / "tables").mkdir()
        for name in ("index.html", "tables/table-1.md"):
            (folder / name).write_text("new")
    assert target.stat().st_ino == identity
    assert (
        (target / "index.html").read_text() == (target / "tables/table-1.md").read_text() == "new"
    )
    assert inside or (target / "thesis.tex").read_text() == "mine"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_that_fails_is_the_old_one(tmp_path: Path) -> None:
    """If filling the new folder fails, the old one is unchanged and the new one is removed."""
    target = tmp_path / "report"
    target.mkdir()
    (target / "index.html").write_text("old")

    def fail(folder: Path) -> None:
        (folder / "index.html").write_text("new")
        raise RuntimeError

    with pytest.raises(RuntimeError), writing.replacing_folder(target) as folder:
        fail(folder)
    assert [p.name for p in target.iterdir()] == ["index.html"]
    assert (target / "index.html").read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """A file of that name is left alone."""
    target = tmp_path / "report"
    target.write_text("a file")
    with pytest.raises(DataError, match="a file; name a folder"), writing.replacing_folder(target):
        pass
    assert target.read_text() == "a file"


def test_a_kill_between_two_renames_is_mended(tmp_path: Path, dead: int) -> None:
    """The old folder comes back before the new one is made."""
    target = tmp_path / "report"
    old = tmp_path / f".report.{writing._host()}-{dead}.old"
    old.mkdir()
    (old / "mine").write_text("kept")
    with writing.replacing_folder(target) as folder:
        (folder / "new").write_text("")
    assert {p.name for p in target.iterdir()} == {"mine", "new"}


def test_what_the_dead_left_is_removed(tmp_path: Path, dead: int) -> None:
    """Leftovers of running processes, other names and other machines are kept."""
    host = writing._host()
    gone = [f".a.json.{host}-{dead}.part"]
    kept = [
        f".a.json.{host}-{os.getppid()}.part",
        f".b.json.{host}-{dead}.part",
        f".a.json.elsewhere-{dead}.part",
        ".a.json.part",
    ]
    for name in (*gone, *kept):
        (tmp_path / name).write_text("x")
    writing.write_text(tmp_path / "a.json", ["new"])
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["a.json", *kept])


@pytest.mark.parametrize("write", [writing.replacing, writing.replacing_folder])
def test_an_error_names_the_path(tmp_path: Path, write) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Not the hidden neighbour that could not be written."""
    target = tmp_path / "out"
    with pytest.raises(OSError, match=r"No space left") as caught, write(target):
        raise OSError(28, "No space left on device")
    assert caught.value.filename == str(target)


def test_a_folder_that_was_removed_is_not_made_again(tmp_path: Path) -> None:
    """Without ``make_folder`` a missing folder is an error that names the file."""
    target = tmp_path / "removed" / "out"
    with pytest.raises(FileNotFoundError) as error:
        writing.write_text(target, ["x"], make_folder=False)
    assert error.value.filename == str(target)
    with pytest.raises(FileNotFoundError) as error:
        writing.write_bytes(target, b"x", make_folder=False)
    assert error.value.filename == str(target)
    assert not target.parent.exists()


@pytest.mark.parametrize("again", [False, True])
def test_a_folder_that_is_lost_while_it_is_filled(tmp_path: Path, again: bool) -> None:  # noqa: FBT001
    """What was written after it was moved replaces nothing, and is removed."""
    target = tmp_path / "place" / "report"
    writing.write_text(target / "page", ["old"])

    def fill() -> None:
        with writing.replacing_folder(target) as folder:
            writing.write_text(folder / "page", ["new"])
            target.parent.rename(tmp_path / "moved")
            if again:
                writing.write_text(folder / "table", ["new"])

    with pytest.raises(FileNotFoundError, match="its folder was moved or removed while"):
        fill()
    assert (tmp_path / "moved" / "report" / "page").read_text() == "old"
    assert not target.exists()


def test_a_temporary_folder_is_removed(tmp_path: Path, dead: int) -> None:
    """With its content, and with those that dead processes have left for the same path."""
    target = tmp_path / "record"
    with writing.temporary_folder(target) as folder:
        host = folder.name.removeprefix(".record.").rpartition("-")[0]
    left = tmp_path / f".record.{host}-{dead}.part"
    left.mkdir()
    with writing.temporary_folder(target) as folder:
        (folder / "half").touch()
        assert folder.parent == tmp_path
        assert not left.exists()
    assert not [*tmp_path.iterdir()]
