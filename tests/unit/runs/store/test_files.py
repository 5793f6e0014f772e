"""Files are written at once or not at all."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark.runs.store.files import write_text


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    """When the parts break off, the old file is whole and nothing else is left behind."""
    target = tmp_path / "out.jsonl"
    target.write_text("old\n")

    def parts() -> Iterator[str]:
        yield "new\n"
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_text(target, parts())
    assert target.read_text() == "old\n"
    assert list(tmp_path.iterdir()) == [target]


def test_line_ends_and_letters_are_as_given(tmp_path: Path) -> None:
    """Bytes are the UTF-8 of the parts, line ends untouched, and folders are made."""
    target = tmp_path / "a" / "b" / "out"
    write_text(target, ["ü\n", "x\r\n"])
    assert target.read_bytes() == b"\xc3\xbc\nx\r\n"


def test_a_link_is_followed(tmp_path: Path) -> None:
    """Writing to a link writes the file it names and leaves the link."""
    (tmp_path / "file").write_text("old")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "file")
    write_text(link, ["new"])
    assert link.is_symlink()
    assert (tmp_path / "file").read_text() == "new"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full (Linux)")
def test_a_device_is_written_to_and_not_replaced() -> None:
    """A device stays a device: /dev/full says that no space is left."""
    device = Path("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        write_text(device, ["x" * 10_000])
    assert device.is_char_device()
    assert not [name for name in os.listdir("/dev") if name.endswith(".part")]  # noqa: PTH208
