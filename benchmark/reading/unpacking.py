"""Unpack gzip, xz and Zstandard data and the members of ZIP archives."""

import io
import lzma
import zipfile
import zlib
from typing import Protocol

from benchmark.errors import DataError, first_line
from benchmark.extras import check_extra
from benchmark.reading.bounds import READ_MORE, current_bounds, size

_DICTIONARY = 256 * 2**20
"""The memory that unpacking xz may take, in bytes; its highest preset takes 65 MiB."""


class DamagedError(DataError):
    """Packed data are damaged or cut off, or of another format."""


def gunzip(packed: bytes, where: str) -> bytes:
    """Return the content of gzip data.

    Raises:
        DamagedError: if the data are damaged or cut off.
        DataError: if that is more than the bound.
    """
    return _unpacked(_Gzip(), packed, where, "gzip")


def unxz(packed: bytes, where: str) -> bytes:
    """Return the content of xz data.

    Raises:
        DamagedError: if the data are damaged or cut off.
        DataError: if that is more than the bound.
    """
    return _unpacked(lzma.LZMADecompressor(memlimit=_DICTIONARY), packed, where, "xz")


def unzstd(packed: bytes, where: str, declared: int, checksum: int) -> bytes:
    """Return the content of an archive's member packed by Zstandard, which pyarrow unpacks.

    Args:
        packed: the data.
        where: what they are, for errors.
        declared: the size that the archive declares; reading stops soon after it.
        checksum: the CRC-32 that the archive declares.

    Raises:
        DamagedError: if the data are damaged, or of another size or checksum than declared.
        DataError: if they are longer than the bound.
        MissingLibraryError: without pyarrow.
    """
    check_extra("pyarrow", "export", "unpacking Zstandard")
    from pyarrow import ArrowException, BufferReader, CompressedInputStream

    if declared > (limit := current_bounds().unpacked):
        raise DataError(f"{where}: unpacks to more than {size(limit)}; {READ_MORE}")
    try:
        with CompressedInputStream(BufferReader(packed), "zstd") as stream:
            content = _read_up_to(stream, declared)
    except (ArrowException, OSError, ValueError) as error:
        raise DamagedError(f"{where}: not Zstandard, or damaged: {first_line(error)}") from error
    if len(content) != declared or zlib.crc32(content) != checksum:
        raise DamagedError(f"{where}: damaged: its size or checksum is not the declared one")
    return content


def check_archive(content: bytes, where: str) -> None:
    """Check the unpacked size that the members of a ZIP archive declare.

    Raises:
        DamagedError: if the content is not a ZIP archive.
        DataError: if that is more than the bound.
    """
    limit = current_bounds().unpacked
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            total = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, OSError) as error:
        raise DamagedError(f"{where}: not a ZIP archive, or damaged: {error}") from error
    if total > limit:
        raise DataError(f"{where}: unpacks to more than {size(limit)}; {READ_MORE}")


class _Readable(Protocol):
    """A stream that is open for reading."""

    def read(self, size: int, /) -> bytes:
        """Return at most this many bytes."""


def read_member(file: _Readable, where: str) -> bytes:
    """Return the content of an archive's member that is open for reading.

    Raises:
        DataError: if it is longer than the bound.
    """
    limit = current_bounds().unpacked
    content = _read_up_to(file, limit)
    if len(content) > limit:
        raise DataError(f"{where}: unpacks to more than {size(limit)}; {READ_MORE}")
    return content


def _read_up_to(file: _Readable, limit: int) -> bytes:
    """Return the content of a file, or the beginning if it is longer than the limit."""
    content = io.BytesIO()
    while content.tell() <= limit and (block := file.read(2**20)):
        content.write(block)
    return content.getvalue()


class _Unpacker(Protocol):
    """A decompressor that unpacks up to a number of bytes."""

    @property
    def eof(self) -> bool:
        """Whether the end of the packed data was reached."""

    @property
    def unused_data(self) -> bytes:
        """What follows the end of the packed data."""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Return the first bytes that the data unpack to."""


class _Gzip:
    """zlib's decompressor, whose second argument has another name."""

    def __init__(self) -> None:
        self._unpacker = zlib.decompressobj(wbits=31)  # with a header and trailer of gzip

    @property
    def eof(self) -> bool:
        return self._unpacker.eof

    @property
    def unused_data(self) -> bytes:
        return self._unpacker.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._unpacker.decompress(data, max_length)


def _unpacked(unpacker: _Unpacker, packed: bytes, where: str, form: str) -> bytes:
    limit = current_bounds().unpacked
    try:
        content = unpacker.decompress(packed, limit + 1)
    except (zlib.error, lzma.LZMAError, EOFError) as error:
        raise DamagedError(f"{where}: not {form}, or damaged: {error}") from error
    if len(content) > limit:
        raise DataError(f"{where}: unpacks to more than {size(limit)}; {READ_MORE}")
    if not unpacker.eof:
        raise DamagedError(f"{where}: not {form}, or damaged: it is cut off")
    if unpacker.unused_data:
        raise DamagedError(f"{where}: not {form}, or damaged: more data follow its end")
    return content
