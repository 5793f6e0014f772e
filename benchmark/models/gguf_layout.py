"""Check that the parts of a GGUF file's header are within the file, before a library reads it.

The gguf library believes the numbers in the file: an array of 2**60 items takes all memory. The
format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import mmap
import struct
from pathlib import Path

from benchmark.errors import RefusedModelError
from benchmark.reading.files import open_regular

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""The bytes of a number by the code of its type."""

_STRING, _ARRAY = 8, 9
_MOST_ITEMS = 2**24
"""The items of all arrays; a vocabulary of a million tokens with its merges has four million."""

_DEEPEST = 8
_MOST_DIMENSIONS = 8


class _LayoutError(Exception):
    """The header is not that of a GGUF file."""


def check_gguf_layout(path: Path, name: str) -> None:
    """Check the header of a GGUF file.

    Raises:
        RefusedModelError: saying what is wrong with it.
    """
    try:
        with (
            open_regular(path) as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        ):
            _Header(content).check()
    except (_LayoutError, ValueError) as error:  # ValueError for an empty file
        raise RefusedModelError(
            f"{name}: {path.name} is not a GGUF file, or is damaged: {error}; download it again"
        ) from error


class _Header:
    """A position in the header, which only moves forward and never past the end."""

    def __init__(self, content: mmap.mmap) -> None:
        self._content = content
        self._position = len(_MAGIC)
        self._order = "<"
        self._items = 0

    def check(self) -> None:
        """Read over the header.

        Raises:
            _LayoutError: if it is not one.
        """
        if self._content[: len(_MAGIC)] != _MAGIC:
            raise _LayoutError("it does not begin with GGUF")
        version = self._number("I")
        if version % 2**16 == 0:  # written on a machine of the other byte order
            self._order = ">"
            self._position = len(_MAGIC)
            version = self._number("I")
        if version not in _VERSIONS:
            raise _LayoutError(f"version {version}, not 2 or 3")
        tensors, entries = self._number("Q"), self._number("Q")
        for _ in range(entries):
            self._skip_strings(1)
            self._skip_value(self._number("I"), 0)
        for _ in range(tensors):
            self._skip_strings(1)
            dimensions = self._number("I")
            if dimensions > _MOST_DIMENSIONS:
                raise _LayoutError(f"a tensor of {dimensions} dimensions")
            self._skip(8 * dimensions + 4 + 8)  # their sizes, the type and the offset

    def _number(self, form: str) -> int:
        start = self._position
        self._skip(struct.calcsize(f"<{form}"))
        number: int = struct.unpack_from(f"{self._order}{form}", self._content, start)[0]
        return number

    def _skip(self, size: int) -> None:
        if size > len(self._content) - self._position:
            raise self._cut_off()
        self._position += size

    def _skip_strings(self, count: int) -> None:
        length = struct.Struct(f"{self._order}Q").unpack_from
        content, position, last = self._content, self._position, len(self._content) - 8
        for _ in range(count):  # half a million tokens and merges, so without further calls
            if position > last:
                break
            position += 8 + length(content, position)[0]
        else:
            self._skip(position - self._position)
            return
        raise self._cut_off()

    def _cut_off(self) -> _LayoutError:
        return _LayoutError(f"cut off after {len(self._content)} bytes")

    def _skip_value(self, kind: int, depth: int) -> None:
        if kind in _SIZES:
            self._skip(_SIZES[kind])
        elif kind == _STRING:
            self._skip_strings(1)
        elif kind == _ARRAY and depth < _DEEPEST:
            self._skip_array(depth + 1)
        else:
            raise _LayoutError(
                f"arrays nested more than {_DEEPEST} deep"
                if kind == _ARRAY
                else f"a value of the unknown type {kind}"
            )

    def _skip_array(self, depth: int) -> None:
        kind, count = self._number("I"), self._number("Q")
        self._items += count
        if self._items > _MOST_ITEMS:
            raise _LayoutError(f"arrays of {self._items} items, more than {_MOST_ITEMS}")
        if kind in _SIZES:
            self._skip(count * _SIZES[kind])
        elif kind == _STRING:
            self._skip_strings(count)
        else:
            for _ in range(count):
                self._skip_value(kind, depth)
