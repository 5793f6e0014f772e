"""The authors' own test set, read in memory from their password-protected ZIP.

They ask that the data never lie uncompressed in a repository; nothing is unpacked here.
"""

import io
import zlib
from collections.abc import Iterator
from pathlib import Path

import pyzipper

from benchmark.boxes.dataset import read_states
from benchmark.errors import DataError
from benchmark.records import State

MEMBER = "few_shot_boxes_nso_exp2_max3/test-subsample-states-t5.jsonl"
"""The end of the name of the member that holds the evaluated test set."""


def read_archive(path: Path, password: str | None) -> Iterator[State]:
    """The states of the evaluated test set of ``boxes-dataset-v1.zip``.

    Raises:
        DataError: for a wrong or missing password, a damaged file, a missing member, or data
            that breaks the rules.
    """
    text = _read(path, password)
    return read_states(io.StringIO(text), f"{path}/{MEMBER}")


def _read(path: Path, password: str | None) -> str:
    try:
        with pyzipper.AESZipFile(path) as archive:
            member = _member(archive, path)
            key = password.encode("utf-8") if password is not None else None
            content: bytes = archive.read(member, pwd=key)
            return content.decode("utf-8")
    except RuntimeError as error:  # how zipfile reports a password that is missing or wrong
        raise DataError(f"{path}: {_password_problem(password)}") from error
    except (zlib.error, UnicodeDecodeError) as error:
        # A wrong password passes the one-byte check of old ZIP encryption once in 256 times.
        raise DataError(f"{path}: wrong password, or the file is damaged: {error}") from error
    except (pyzipper.BadZipFile, EOFError, OSError, NotImplementedError) as error:
        raise DataError(f"{path}: not a whole ZIP file: {error}; fetch it again") from error


def _member(archive: pyzipper.AESZipFile, path: Path) -> str:
    names: list[str] = archive.namelist()
    for name in names:
        if name.endswith(MEMBER):
            return name
    raise DataError(f"{path}: no member that ends with {MEMBER}")


def _password_problem(password: str | None) -> str:
    if password is None:
        return "the archive needs a password; give it with --password (see its README)"
    return "wrong password; its README gives the right one"
