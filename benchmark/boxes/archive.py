"""The authors' own test set, read in memory from their password-protected ZIP.

They ask that the data never be stored uncompressed in a repository, so nothing is unpacked here.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pyzipper

from benchmark.boxes.dataset import read_states
from benchmark.boxes.language import STANDARD, Language
from benchmark.errors import DataError
from benchmark.reading.files import open_regular
from benchmark.reading.unpacking import read_member
from benchmark.records import State

MEMBER = "few_shot_boxes_nso_exp2_max3/test-subsample-states-t5.jsonl"
"""The end of the name of the member that holds the evaluated test set."""


_DAMAGE = (
    *(pyzipper.BadZipFile, EOFError, OSError, zlib.error),
    # zipfile and pyzipper do not catch these on a damaged file. AttributeError: no AES header.
    *(struct.error, LookupError, ValueError, AttributeError),
)


def read_archive(
    path: Path, password: str | None, language: Language = STANDARD, member: str = MEMBER
) -> Iterator[State]:
    """Return the states of a member of ``boxes-dataset-v1.zip``, named by the end of its path.

    Raises:
        DataError: for a wrong or missing password, a damaged file, a missing member, or data
            that breaks the rules.
    """
    text = _read(path, password, member)
    return read_states(io.StringIO(text), f"{path}/{member}", language)


def _read(path: Path, password: str | None, member: str) -> str:
    try:
        with open_regular(path) as file, pyzipper.AESZipFile(file) as archive:
            name = _name(archive, path, member)
            key = password.encode("utf-8") if password is not None else None
            with archive.open(name, pwd=key) as member_file:
                return read_member(member_file, f"{path}/{member}").decode("utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except NotImplementedError as error:  # a RuntimeError too, so it comes first
        raise DataError(f"{path}: unsupported compression or encryption: {error}") from error
    except RuntimeError as error:  # how zipfile reports a password that is missing or wrong
        raise DataError(f"{path}: {_password_problem(password)}") from error
    except _DAMAGE as error:
        # A wrong password passes the one-byte check of old ZIP encryption once in 256 times. The
        # decrypted bytes are then not text, or their checksum is wrong.
        garbled = isinstance(error, zlib.error | UnicodeDecodeError) or "CRC" in str(error)
        problem = "wrong password, or the file is damaged" if garbled else "not a complete ZIP file"
        raise DataError(f"{path}: {problem}: {error}; download it again") from error


def _name(archive: pyzipper.AESZipFile, path: Path, member: str) -> str:
    names: list[str] = archive.namelist()
    for name in names:
        if name.endswith(member):
            return name
    raise DataError(f"{path}: no member that ends with {member}")


def _password_problem(password: str | None) -> str:
    if password is None:
        return "the archive needs a password; give it with --password (see its README)"
    return "wrong password; its README has the right one"
