"""Headers of GGUF files whose numbers cannot be right."""

import struct
from pathlib import Path

import pytest

from benchmark.errors import RefusedModelError
from benchmark.models.gguf_layout import check_gguf_layout
from fakes.gguf_headers import TENSOR, array, header, text

HUGE = 2**60


@pytest.mark.parametrize(
    "content",
    [
        header(),
        header(version=2),
        header(array(0, 3, b"abc"), array(9, 1, struct.pack("<IQ", 6, 1) + b"1234")),
        b"GGUF"
        + struct.pack(">IQQ", 3, 0, 1)
        + struct.pack(">Q", 1)
        + b"x"
        + struct.pack(">IB", 7, 1),
    ],
    ids=["usual", "version-2", "arrays", "big-endian"],
)
def test_headers_that_are_right(tmp_path: Path, content: bytes) -> None:
    """Also of the other byte order, and with arrays in arrays."""
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    check_gguf_layout(path, "m")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty file"),
        (b"GGML" + header()[4:], "does not begin with GGUF"),
        (header(version=99), "version 99, not 2 or 3"),
        (header(entries=HUGE), "cut off|unknown type"),
        (header(array(0, HUGE)), "items, more than 16777216"),
        (header(array(8, HUGE)), "items, more than 16777216"),
        (header(array(9, HUGE, struct.pack("<IQ", 0, 0) * 9)), "items, more than 16777216"),
        (header(array(0, 2**20)), "cut off"),
        (header(struct.pack("<IQ", 8, HUGE)), "cut off"),
        (header(struct.pack("<I", 13)), "unknown type 13"),
        (header(struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 5000), "nested more than 8"),
        (header(tensor=text(b"t") + struct.pack("<I", 2**31)), "a tensor of 2147483648 dim"),
        (header(tensor=TENSOR[:-1]), "cut off"),
    ],
)
def test_headers_that_are_wrong(tmp_path: Path, content: bytes, words: str) -> None:
    """They are refused at once, in one line that names the file."""
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    with pytest.raises(RefusedModelError, match=rf"^m: m\.gguf is not .*({words})"):
        check_gguf_layout(path, "m")


def test_every_cut_is_noticed(tmp_path: Path) -> None:
    """A header has no byte too many."""
    path, content = tmp_path / "m.gguf", header()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(RefusedModelError):
            check_gguf_layout(path, "m")
