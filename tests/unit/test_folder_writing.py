"""Folders are replaced by one rename, and in a folder of others each entry is."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark import folder_writing
from benchmark.errors import DataError
from benchmark.folder_writing import replacing_folder
from benchmark.writing import unfinished_name, write_text


@pytest.fixture(scope="module")
def dead() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize("exchange", [True, False], ids=["exchange", "two-renames"])
def test_a_folder_is_replaced_whole(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    exchange: bool,  # noqa: FBT001
) -> None:
    """Files of the new folder replace old ones; other old files are kept."""
    if not exchange:
        monkeypatch.setattr(folder_writing, "_exchanged", lambda *_: False)
    target = tmp_path / "report"
    (target / "tables").mkdir(parents=True)
    (target / "index.html").write_text("old")
    (target / "tables" / "notes.txt").write_text("mine")
    with replacing_folder(target) as folder:
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
    with replacing_folder(target) as folder:
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

    with pytest.raises(RuntimeError), replacing_folder(target) as folder:
        fail(folder)
    assert [p.name for p in target.iterdir()] == ["index.html"]
    assert (target / "index.html").read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """A file of that name is left alone."""
    target = tmp_path / "report"
    target.write_text("a file")
    with pytest.raises(DataError, match="a file; name a folder"), replacing_folder(target):
        pass
    assert target.read_text() == "a file"


def test_a_kill_between_two_renames_is_mended(tmp_path: Path, dead: int) -> None:
    """The old folder comes back before the new one is made."""
    target = tmp_path / "report"
    old = tmp_path / unfinished_name(target, "old").name.replace(str(os.getpid()), str(dead))
    old.mkdir()
    (old / "mine").write_text("kept")
    with replacing_folder(target) as folder:
        (folder / "new").write_text("")
    assert {p.name for p in target.iterdir()} == {"mine", "new"}


@pytest.mark.parametrize("again", [False, True])
def test_a_folder_that_is_lost_while_it_is_filled(tmp_path: Path, again: bool) -> None:  # noqa: FBT001
    """What was written after it was moved replaces nothing, and is removed."""
    target = tmp_path / "place" / "report"
    write_text(target / "page", ["old"])

    def fill() -> None:
        with replacing_folder(target) as folder:
            write_text(folder / "page", ["new"])
            target.parent.rename(tmp_path / "moved")
            if again:
                write_text(folder / "table", ["new"])

    with pytest.raises(FileNotFoundError, match="its folder was moved or removed while"):
        fill()
    assert (tmp_path / "moved" / "report" / "page").read_text() == "old"
    assert not target.exists()


SYSTEMS = pytest.mark.parametrize("exchange", [True, False], ids=["exchange", "three-renames"])


def _write_report(folder: Path, text: str) -> None:
    for name in ("index.html", "figures/one.svg", "tables/one.md"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def _content(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


@SYSTEMS
@pytest.mark.parametrize("failing", range(4))
def test_an_error_puts_the_entries_back(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    exchange: bool,  # noqa: FBT001
    failing: int,
) -> None:
    """In a folder of others; the page is replaced last, and entries of others are kept."""
    if not exchange:
        monkeypatch.setattr(folder_writing, "_exchanged", lambda *_: False)
    target = tmp_path / "home"
    _write_report(target, "old")
    (target / "thesis.tex").write_text("mine")
    (target / "tables" / "mine.txt").write_text("mine")
    old, swap, swapped = _content(target), folder_writing._swap, list[str]()

    def failing_swap(one: Path, other: Path) -> None:
        if len(swapped) == failing:
            swapped.append("failure")
            raise OSError(5, "Input/output error")
        swapped.append(other.name)
        swap(one, other)

    monkeypatch.setattr(folder_writing, "_swap", failing_swap)

    def replace() -> None:
        with replacing_folder(target, last="index.html") as folder:
            _write_report(folder, "new")

    if failing < 3:
        with pytest.raises(OSError, match="Input/output error"):
            replace()
        assert _content(target) == old
    else:
        replace()
        assert swapped == ["figures", "tables", "index.html"]
        assert _content(target) == {
            name: "new" if text == "old" else text for name, text in old.items()
        }
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("failing", range(10))
@pytest.mark.parametrize("shared", [True, False])
def test_any_rename_may_fail(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    shared: bool,  # noqa: FBT001
    failing: int,
) -> None:
    """Without the exchange in one call the old entries are at their names again, whole."""
    target = tmp_path / "home"
    _write_report(target, "old")
    if shared:
        (target / "thesis.tex").write_text("mine")
    old, calls = _content(target), list[str]()

    def fault(name: str, call: Callable[..., object]) -> Callable[..., object]:
        def failing_call(*arguments: object) -> object:
            calls.append(name)
            if len(calls) - 1 == failing:
                raise OSError(5, "Input/output error")
            return call(*arguments)

        return failing_call

    monkeypatch.setattr(folder_writing, "_exchanged", lambda *_: False)
    for module, name in ((os, "rename"), (os, "replace"), (shutil, "copy2")):
        monkeypatch.setattr(module, name, fault(name, getattr(module, name)))

    def replace() -> None:
        with replacing_folder(target, last="index.html") as folder:
            _write_report(folder, "new")

    if failing < (9 if shared else 3):
        with pytest.raises(OSError, match="Input/output error"):
            replace()
        assert _content(target) == old
    else:
        replace()
        assert _content(target)["index.html"] == "new"
    assert list(tmp_path.iterdir()) == [target]
    assert {path.name for path in target.iterdir()} == {name.split("/")[0] for name in old}


@pytest.mark.parametrize("name", ["index.html", "tables", "tables/one.md"])
@pytest.mark.parametrize("shared", [True, False])
def test_an_entry_of_another_kind_is_kept(tmp_path: Path, name: str, shared: bool) -> None:  # noqa: FBT001
    """A folder in place of the page, or a file in place of a subfolder, is of others."""
    target = tmp_path / "home"
    (target / name).parent.mkdir(parents=True)
    if shared:
        (target / "thesis.tex").write_text("mine")
    if name == "tables":
        (target / name).write_text("mine")
    else:
        (target / name).mkdir()
        (target / name / "mine.txt").write_text("mine")
    before = _content(target)

    def replace() -> None:
        with replacing_folder(target) as folder:
            _write_report(folder, "new")

    with pytest.raises(DataError, match=rf"{name}: a (file|folder) where a (file|folder) is"):
        replace()
    assert _content(target) == before
    assert list(tmp_path.iterdir()) == [target]


def test_a_link_to_a_subfolder_is_followed(tmp_path: Path) -> None:
    """What it names is replaced, and the link stays."""
    target = tmp_path / "home"
    _write_report(target, "old")
    (target / "thesis.tex").write_text("mine")
    (target / "figures").rename(tmp_path / "elsewhere")
    (target / "figures").symlink_to(tmp_path / "elsewhere")
    with replacing_folder(target) as folder:
        _write_report(folder, "new")
    assert (target / "figures").is_symlink()
    assert (tmp_path / "elsewhere" / "one.svg").read_text() == "new"


def test_a_mount_is_filled_from_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is renamed to or from another file system, and nothing is left."""
    target = tmp_path / "mount"
    _write_report(target, "old")
    monkeypatch.setattr(os.path, "ismount", lambda path: path == target)
    with replacing_folder(target) as folder:
        assert folder.parent == target
        _write_report(folder, "new")
    assert {*_content(target).values()} == {"new"}
    assert {path.name for path in target.iterdir()} == {"index.html", "figures", "tables"}


def test_the_subfolder_that_is_the_working_directory_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files are replaced one by one."""
    target = tmp_path / "home"
    _write_report(target, "old")
    monkeypatch.chdir(target / "tables")
    identity = Path.cwd().stat().st_ino
    with replacing_folder(target) as folder:
        _write_report(folder, "new")
    assert (target / "tables").stat().st_ino == identity
    assert {*_content(target).values()} == {"new"}


def test_a_kill_between_renames_of_an_entry_is_mended(tmp_path: Path, dead: int) -> None:
    """The old subfolder comes back before the new one replaces it."""
    target = tmp_path / "home"
    _write_report(target, "old")
    (target / "thesis.tex").write_text("mine")
    (target / "tables" / "mine.txt").write_text("mine")
    name = unfinished_name(target / "tables", "old").name
    (target / "tables").rename(target / name.replace(str(os.getpid()), str(dead)))
    with replacing_folder(target) as folder:
        _write_report(folder, "new")
    assert (target / "tables" / "mine.txt").read_text() == "mine"
    assert (target / "tables" / "one.md").read_text() == "new"
    assert len([*target.iterdir()]) == 4
