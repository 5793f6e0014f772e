"""Files are replaced by one rename, and leftovers of ended processes are removed."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmark import writing
from benchmark.errors import DataError
from benchmark.folder_writing import replacing_folder


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


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="needs /dev/fd")
@pytest.mark.parametrize(
    "name", ["/dev/fd/{}", "/proc/self/fd/{}", "/proc/thread-self/fd/{}", "/proc/{pid}/fd/{}"]
)
@pytest.mark.parametrize("linked", [False, True])
def test_an_open_descriptor_is_written_to(tmp_path: Path, name: str, linked: bool) -> None:  # noqa: FBT001
    """Behind a redirect it is a file of others: it keeps what it has, and later lines follow."""
    log = tmp_path / "log"
    with log.open("w") as file:
        file.write("before\n")
        file.flush()
        path = Path(name.format(file.fileno(), pid=os.getpid()))
        if linked:
            (tmp_path / "link").symlink_to(path)
            path = tmp_path / "link"
        writing.write_text(path, ["ü\n"])
        with pytest.raises(DataError, match="not a regular file"):
            writing.write_bytes(path, b"")
        file.write("after\n")
    assert log.read_text() == "before\nü\nafter\n"


def test_a_closed_descriptor_is_named() -> None:
    """As is one that is open for reading only, and a pipe whose reader has left."""
    reading, pipe = os.pipe()
    with pytest.raises(OSError, match="Bad file descriptor") as error:
        writing.write_text(Path(f"/dev/fd/{reading}"), ["x"])
    assert error.value.filename == f"/dev/fd/{reading}"
    os.close(reading)
    with pytest.raises(DataError, match=f"/dev/fd/{pipe}: no program reads it"):
        writing.write_text(Path(f"/dev/fd/{pipe}"), ["x"])
    os.close(pipe)
    with pytest.raises(OSError, match="Bad file descriptor"):
        writing.write_text(Path(f"/dev/fd/{pipe}"), ["x"])


def test_standard_error_behind_a_redirect(tmp_path: Path) -> None:
    """The lines before it in the log are kept, in their order."""
    log = tmp_path / "log"
    code = (
        "import sys; from pathlib import Path; from benchmark.writing import write_text;"
        "sys.stderr.write('a\\n'); write_text(Path('/dev/stderr'), ['b\\n']);"
        "sys.stderr.write('c\\n'); write_text(Path('/dev/fd/1'), ['d\\n'])"
    )
    with log.open("w") as file:
        subprocess.run([sys.executable, "-c", code], stdout=file, stderr=file, check=True)  # noqa: S603
    assert log.read_text() == "a\nb\nc\nd\n"
    assert list(tmp_path.iterdir()) == [log]


def test_what_the_dead_left_is_removed(tmp_path: Path, dead: int) -> None:
    """Leftovers of running processes, other names and other machines are kept."""
    host = writing.host_name()
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


@pytest.mark.parametrize("write", [writing.replacing, replacing_folder])
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


@pytest.mark.parametrize("write", [writing.write_text, writing.write_bytes])
def test_a_folder_is_not_replaced_by_a_file(tmp_path: Path, write) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """The line names it."""
    content = [] if write is writing.write_text else b""
    with pytest.raises(DataError, match="not a regular file; name one"):
        write(tmp_path, content)


def test_a_pipe_needs_a_reader(tmp_path: Path) -> None:
    """Opening it would wait for one; with a reader it gets the text."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(DataError, match="no program reads it"):
        writing.write_text(pipe, ["x"])
    with pytest.raises(DataError, match="not a regular file"):
        writing.write_bytes(pipe, b"x")
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    writing.write_text(pipe, ["x\n", "ü\n"])
    assert os.read(reader, 100) == b"x\n\xc3\xbc\n"
    os.close(reader)


def test_links_in_a_loop_are_named(tmp_path: Path) -> None:
    """As one error of the system's in every version of Python."""
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(OSError, match="Too many levels of symbolic links") as error:
        writing.write_text(loop, ["x"])
    assert error.value.filename == str(loop)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.symlink_to(path), "a link that cannot be followed (Too many levels"),
        (lambda path: path.symlink_to("nowhere"), "a link that cannot be followed (No such file"),
        (Path.touch, "a file, not a folder; name another"),
        (os.mkfifo, "a pipe, socket or device, not a folder; name another"),
    ],
)
def test_what_is_in_the_place_of_a_folder_is_named(
    tmp_path: Path, make: Callable[[Path], None], words: str
) -> None:
    """Rather than that something exists there."""
    path = tmp_path / "out"
    make(path)
    for folder in (path, path / "runs" / "mine"):
        with pytest.raises(OSError, match=re.escape(words)) as error:
            writing.ensure_folder(folder)
        assert error.value.filename == str(path)
