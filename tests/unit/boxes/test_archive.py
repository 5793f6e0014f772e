"""The authors' ZIP: real archives with old and new encryption, whole and damaged.

The standard library reads old ZIP encryption but does not write it, so it is written here, after
section 6.1 of the ZIP specification (APPNOTE.TXT).
"""

import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import pyzipper

from benchmark.boxes.archive import MEMBER, read_archive
from benchmark.boxes.dataset import rows
from benchmark.boxes.states import parse_state
from benchmark.errors import DataError
from benchmark.records import State

PASSWORD = "sesame"  # noqa: S105 - the password of archives made here
NAME = f"boxes-dataset-v1/{MEMBER}"
BOXES = (
    "Box 0 contains the bag and the map, Box 1 contains nothing, Box 2 contains the coat, "
    "Box 3 contains nothing, Box 4 contains nothing, Box 5 contains nothing, "
    "Box 6 contains the car."
)
STATES = [
    parse_state(3, BOXES),
    parse_state(3, f"{BOXES} Move the bag from Box 0 to Box 2."),
    parse_state(8, f"{BOXES} Remove the car from Box 6. Put the pin into Box 2."),
]
CONTENT = "".join(f"{row}\n" for state in STATES for row in rows(state)).encode()


class OldEncryption:
    """The stream cipher of old ZIP files: three 32-bit keys, updated by each plain byte."""

    def __init__(self, password: str) -> None:
        """Mix the password into the keys."""
        self.keys = [0x12345678, 0x23456789, 0x34567890]
        for byte in password.encode():
            self._update(byte)

    def encrypt(self, plain: bytes) -> bytes:
        """Encrypt the plain text."""
        return bytes(self._next(byte, update_with=byte) for byte in plain)

    def decrypt(self, encrypted: bytes) -> bytes:
        """Decrypt the encrypted text."""
        return bytes(self._next(byte, update_with=None) for byte in encrypted)

    def _next(self, byte: int, update_with: int | None) -> int:
        mixed = (self.keys[2] | 2) & 0xFFFF
        result = byte ^ ((mixed * (mixed ^ 1) >> 8) & 0xFF)
        self._update(result if update_with is None else update_with)
        return result

    def _update(self, byte: int) -> None:
        first, second, third = self.keys
        first = _crc32(first, byte)
        second = (second + (first & 0xFF)) * 134775813 + 1 & 0xFFFFFFFF
        self.keys = [first, second, _crc32(third, second >> 24)]


def _crc32(crc: int, byte: int) -> int:
    """Return one step of CRC-32, without zlib's inversions."""
    return zlib.crc32(bytes([byte]), crc ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


def old_zip(
    path: Path, content: bytes, password: str, name: str = NAME, *, deflated: bool = True
) -> Path:
    """Write a ZIP file with one member, deflated or stored, encrypted in the old way."""
    squeeze = zlib.compressobj(wbits=-15)
    squeezed = squeeze.compress(content) + squeeze.flush() if deflated else content
    crc = zlib.crc32(content)
    header = bytes(range(11)) + bytes([crc >> 24])
    data = OldEncryption(password).encrypt(header + squeezed)
    method, day = 8 if deflated else 0, 0x21
    common = struct.pack(
        "<HHHHHIIIHH", 20, 1, method, 0, day, crc, len(data), len(content), len(name), 0
    )
    local = b"PK\3\4" + common + name.encode() + data
    entry = b"PK\1\2" + struct.pack("<H", 20) + common + bytes(14) + name.encode()
    end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(entry), len(local), 0)
    path.write_bytes(local + entry + end)
    return path


def new_zip(path: Path, content: bytes, password: str, name: str = NAME) -> Path:
    """Write a ZIP file with one deflated member, encrypted with AES."""
    with pyzipper.AESZipFile(
        path, "w", compression=pyzipper.ZIP_DEFLATED, encryption=pyzipper.WZ_AES
    ) as archive:
        archive.setpassword(password.encode())
        archive.writestr(name, content)
    return path


def plain_zip(path: Path, content: bytes, password: str, name: str = NAME) -> Path:
    """Write a ZIP file with one deflated member and no encryption; the password is ignored."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("README.md", "read me")
        archive.writestr(name, content)
    return path


Make = Callable[[Path, bytes, str], Path]
both = pytest.mark.parametrize("make", [old_zip, new_zip])
every = pytest.mark.parametrize("make", [old_zip, new_zip, plain_zip])


def read(path: Path, password: str | None = PASSWORD) -> list[State]:
    """Return all states of an archive."""
    return list(read_archive(path, password))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a test's archive."""
    return tmp_path / "boxes.zip"


def test_old_encryption_is_what_the_standard_library_reads(path: Path) -> None:
    """The archives that these tests encrypt are valid ones."""
    with zipfile.ZipFile(old_zip(path, CONTENT, PASSWORD)) as archive:
        assert archive.getinfo(NAME).flag_bits & 1
        assert archive.read(NAME, PASSWORD.encode()) == CONTENT
        with pytest.raises(RuntimeError, match="password required"):
            archive.read(NAME)


@every
def test_states_are_read_with_the_right_password(path: Path, make: Make) -> None:
    """The states are those written, in order, from old, new and no encryption."""
    assert read(make(path, CONTENT, PASSWORD)) == STATES


@both
def test_password_may_have_any_characters(path: Path, make: Make) -> None:
    """A password is encoded in UTF-8, as ZIP tools do."""
    assert read(make(path, CONTENT, "schlüssel €"), "schlüssel €") == STATES


def test_nothing_is_written_beside_the_archive(path: Path) -> None:
    """The data is read in memory: no file appears."""
    read(new_zip(path, CONTENT, PASSWORD))
    assert list(path.parent.iterdir()) == [path]


@both
def test_missing_password_is_asked_for(path: Path, make: Make) -> None:
    """Without a password, the error says which option takes it."""
    with pytest.raises(DataError, match="needs a password; give it with --password") as error:
        read(make(path, CONTENT, PASSWORD), None)
    assert str(error.value).startswith(f"{path}: ")


@both
@pytest.mark.parametrize("password", ["open", "", "Sesame", "sesame "])
def test_wrong_password_is_named(path: Path, make: Make, password: str) -> None:
    """The error for a wrong password does not blame the file."""
    with pytest.raises(DataError, match="wrong password") as error:
        read(make(path, CONTENT, PASSWORD), password)
    assert str(error.value).startswith(f"{path}: ")


@pytest.mark.parametrize("deflated", [True, False])
def test_wrong_password_that_passes_the_one_byte_check_is_named(
    path: Path, *, deflated: bool
) -> None:
    """Old encryption accepts one wrong password in 256; the later error still names it.

    Inflating the noise then fails, or the checksum does: if the member is stored, or the noise
    happens to inflate.
    """
    old_zip(path, CONTENT, PASSWORD, deflated=deflated)
    start = path.read_bytes().index(MEMBER.encode()) + len(MEMBER)
    header, check = path.read_bytes()[start : start + 12], zlib.crc32(CONTENT) >> 24
    wrong = [f"wrong{number}" for number in range(5000)]
    passing = [word for word in wrong if OldEncryption(word).decrypt(header)[-1] == check]
    assert len(passing) > 10
    for password in passing:
        with pytest.raises(DataError) as error:
            read(path, password)
        assert str(error.value).startswith(f"{path}: wrong password")


@every
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_truncated_file_is_named(path: Path, make: Make, share: float) -> None:
    """A download that was cut off says to download it again."""
    complete = make(path, CONTENT, PASSWORD).read_bytes()
    path.write_bytes(complete[: int(len(complete) * share)])
    with pytest.raises(DataError, match=r"not a complete ZIP file: .*; download it again") as error:
        read(path)
    assert str(error.value).startswith(f"{path}: ")


@pytest.mark.parametrize("content", [b"", b"<html>Not found</html>", b"PK\3\4", bytes(1000)])
def test_file_that_is_not_a_zip_is_named(path: Path, content: bytes) -> None:
    """If another file has the name of the archive, the error says to download it again."""
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"not a complete ZIP file: .*; download it again"):
        read(path)


def test_missing_file_is_named(path: Path) -> None:
    """A missing file is a DataError with its name."""
    with pytest.raises(DataError, match=r"boxes\.zip: .*No such file"):
        read(path)


@every
def test_missing_member_is_named(path: Path, make: Make) -> None:
    """The error for another ZIP names the missing member."""
    named = make(path, CONTENT, PASSWORD).read_bytes()
    path.write_bytes(named.replace(MEMBER.encode(), MEMBER.replace("t5", "t6").encode()))
    with pytest.raises(DataError, match=f"no member that ends with {MEMBER}"):
        read(path)


def test_member_is_found_among_others_and_at_the_top(path: Path) -> None:
    """The folder above the member does not matter."""
    assert read(plain_zip(path, CONTENT, PASSWORD, MEMBER)) == STATES


@both
def test_member_with_a_broken_state_is_named(path: Path, make: Make) -> None:
    """Invalid data is named with archive, member and line."""
    broken = CONTENT.replace(b'"numops": 1', b'"numops": 4', 1)
    actual = read_archive(make(path, broken, PASSWORD), PASSWORD)
    assert next(actual) == STATES[0]
    with pytest.raises(DataError) as error:
        next(actual)
    expected = f"{path}/{MEMBER}:8: numops is 4, but by the description it is 1"
    assert str(error.value) == expected


def test_member_that_is_not_text_is_a_data_error(path: Path) -> None:
    """Bytes that are not text are reported as damage."""
    with pytest.raises(DataError, match="damaged"):
        read(plain_zip(path, b"\xff\xfe\x00", PASSWORD))


def test_unsupported_compression_is_not_called_a_wrong_password(path: Path) -> None:
    """The error does not mention the password if it is not the cause."""
    damaged = bytearray(plain_zip(path, CONTENT, PASSWORD).read_bytes())
    for signature, offset in [(b"PK\3\4", 8), (b"PK\1\2", 10)]:
        damaged[damaged.rindex(signature) + offset] = 9  # "enhanced deflating"
    path.write_bytes(damaged)
    with pytest.raises(DataError) as error:
        read(path, None)
    assert "password" not in str(error.value)


@every
@pytest.mark.parametrize("damage", [0x04, 0x11])
def test_damaged_byte_never_gives_other_states(path: Path, make: Make, damage: int) -> None:
    """With any damaged byte, the states are the same or the error is a DataError."""
    complete = make(path, CONTENT, PASSWORD).read_bytes()
    headers = (*range(150), *range(len(complete) - 250, len(complete)))
    for position in (*headers, *range(150, len(complete) - 250, 9)):
        damaged = bytearray(complete)
        damaged[position] ^= damage
        path.write_bytes(damaged)
        try:
            actual = read(path)
        except DataError:
            continue
        assert actual == STATES
