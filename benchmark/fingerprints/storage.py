"""Read and write records: JSON for people, and columns for the comparison.

``NAME.json`` has environment, counts, noise floor and a digest per stage. The columns are in
``NAME.columns.xz`` next to it, so that a pull request shows the JSON only. ``NAME.json.gz`` has
both in one file.
"""

import base64
import gzip
import hashlib
import json
import lzma
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from zipfile import BadZipFile

from pydantic import TypeAdapter

from benchmark.errors import DataError
from benchmark.fingerprints.columns import pack, unpack
from benchmark.fingerprints.digests import StageRecord
from benchmark.fingerprints.logits import RESOLUTION
from benchmark.fingerprints.migration import (
    FORMAT,
    current_document,
    current_stages,
    readable_formats,
)
from benchmark.fingerprints.noise import Repeat, noise_floor
from benchmark.fingerprints.record import Fingerprint
from benchmark.fingerprints.stages import in_order
from benchmark.reading.documents import json_object
from benchmark.reading.files import read_bytes
from benchmark.reading.unpacking import DamagedError, gunzip, unxz
from benchmark.runs.environment import Environment
from benchmark.scoring.counts import groups_as_json
from benchmark.scoring.outcomes import main_first
from benchmark.writing import write_bytes, write_text

_GZIP = ".gz"
_COLUMNS = ".columns.xz"
_DAMAGE = (
    *(ValueError, LookupError, TypeError, AttributeError, RecursionError, EOFError, MemoryError),
    *(lzma.LZMAError, zlib.error, BadZipFile),
)
"""The errors that damaged bytes cause in the readers."""
_DIGEST = re.compile("[0-9a-f]{16}")
_LEAST, _MOST = 2**12, 2**26
"""The dictionary sizes of LZMA, in bytes: the smallest, and that of its highest preset."""

_ENVIRONMENT, _REPEATS = TypeAdapter(Environment), TypeAdapter(tuple[Repeat, ...])


def columns_path(path: Path) -> Path:
    """Return the path of the columns of ``NAME.json``."""
    return path.with_suffix(_COLUMNS)


def write_fingerprint(record: Fingerprint, path: Path, blessings: Sequence[object] = ()) -> None:
    """Write a record to ``NAME.json`` and ``NAME.columns.xz``, or to ``NAME.json.gz``.

    A failure leaves existing files as they were. ``blessings`` are the reasons given for accepting
    the record; they are kept in the readable part.
    """
    if path.suffix == _GZIP:
        write_bytes(path, gzip.compress(fingerprint_text(record).encode(), mtime=0))
        return
    columns = compressed(record)
    reasons = {"blessings": list(blessings)} if blessings else {}
    document = {**readable(record), **reasons, "columns": _digest(columns)}
    _write_parts(path, _text(document), columns)


def move_fingerprint(source: Path, path: Path) -> None:
    """Move a record in ``NAME.json`` and ``NAME.columns.xz``; it replaces one that is there."""
    columns = columns_path(source).read_bytes()
    _write_parts(path, source.read_text(encoding="utf-8"), columns)
    for file in (source, columns_path(source)):
        file.unlink()


def _write_parts(path: Path, text: str, columns: bytes) -> None:
    # The old record is complete up to the second step, and the new one from it on.
    pending = _pending_path(path, _digest(columns))
    write_bytes(pending, columns)
    write_text(path, [text])
    pending.replace(columns_path(path))
    _remove_pending(path)


def fingerprint_text(record: Fingerprint) -> str:
    """Return a record with its columns as one JSON text."""
    columns = base64.b85encode(compressed(record)).decode()
    return _text({**readable(record), "columns": columns})


def read_text(text: str, source: str = "fingerprint") -> Fingerprint:
    """Read a record from the text of :func:`fingerprint_text`.

    Raises:
        DataError: naming the source, if it is not a record or is damaged.
    """
    with _checked(source):
        document = _document(text, source)
        columns = base64.b85decode(str(document["columns"]))
        return assemble(document, columns, f"{source}: its columns")


def read_fingerprint(path: Path) -> Fingerprint:
    """Read a record from a file that :func:`write_fingerprint` wrote.

    Raises:
        DataError: if it is missing or damaged, or its columns belong to a different record.
    """
    if path.name.endswith(_COLUMNS):
        readable_part = path.name.removesuffix(_COLUMNS) + ".json"
        raise DataError(f"{path}: these are only the columns; name {readable_part} instead")
    with _checked(str(path)):
        if path.suffix == _GZIP:
            return read_text(_record_text(path), str(path))
        document = _document(_record_text(path), str(path))
        columns = _read_columns(path, str(document["columns"]))
        return assemble(document, columns, str(columns_path(path)))


def _record_text(path: Path) -> str:
    """Return the JSON of a record, whether it is packed or not."""
    content = read_bytes(path)
    packed = path.suffix == _GZIP
    return (gunzip(content, str(path)) if packed else content).decode("utf-8-sig")


def _read_columns(path: Path, digest: str) -> bytes:
    """Return the columns with this digest, which a kill may have left at their first place.

    Raises:
        DataError: if there are only those of a different record.
    """
    if (pending := _pending_path(path, digest)).is_file():
        return read_bytes(pending)
    columns = read_bytes(columns_path(path))
    if _digest(columns) != digest:
        raise DataError(f"{columns_path(path)}: belongs to a different record than {path.name}")
    return columns


def _pending_path(path: Path, digest: str) -> Path:
    """Return where the columns of a record are before its JSON is replaced."""
    name = "".join(character for character in digest if character.isalnum())
    return path.with_name(f".{path.stem}.{name}{_COLUMNS}")


def _remove_pending(path: Path) -> None:
    """Remove columns that killed processes left for this record."""
    for pending in path.parent.iterdir():
        prefix, suffix = f".{path.stem}.", _COLUMNS
        digest = pending.name.removeprefix(prefix).removesuffix(suffix)
        if pending.name == f"{prefix}{digest}{suffix}" and _DIGEST.fullmatch(digest):
            pending.unlink(missing_ok=True)


@contextmanager
def _checked(source: str) -> Iterator[None]:
    """Turn the errors that a damaged file causes into one line."""
    try:
        yield
    except DamagedError as error:
        raise DataError(f"{error}; record it again") from error
    except OSError as error:
        raise DataError(f"{error.filename or source}: {error.strerror or error}") from error
    except _DAMAGE as error:
        reason = " ".join(f"{error!r:.100}".split())
        raise DataError(f"{source}: damaged ({reason}); record it again") from error


def _document(text: str, source: str) -> dict[str, object]:
    document = json_object(text, source)
    if "format" not in document:
        raise DataError(f"{source}: not a fingerprint; python -m benchmark fingerprint writes one")
    if document["format"] not in readable_formats():
        unknown, supported = document["format"], ", ".join(map(str, readable_formats()))
        raise DataError(
            f"{source}: format {unknown} is unknown, {supported} are supported; record it again"
        )
    return document


def readable(record: Fingerprint) -> dict[str, object]:
    """Return the part of a record that people read, as JSON."""
    return {
        "format": FORMAT,
        "environment": record.environment.as_json(),
        "states": record.states,
        "stages": {name: record.stages[name].failed or record.stages[name].digest
                   for name in in_order(record.stages)},
        **main_first({by: groups_as_json(counts, asdict) for by, counts in record.counts.items()}),
        "noise": {
            "floor": noise_floor(record.repeats).largest,
            "repeats": list(map(asdict, record.repeats)),
        },
        "resolution": RESOLUTION,
        **({"notices": record.notices} if record.notices else {}),
    }  # fmt: skip


def compressed(record: Fingerprint) -> bytes:
    """Return the compressed columns of a record; equal records have equal bytes."""
    raw = pack(record)
    # The preset's dictionary of 64 MB takes longer to allocate than a small record to compress.
    size = min(max(len(raw), _LEAST), _MOST)
    best = {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": size}
    return lzma.compress(raw, filters=[best])


def assemble(document: Mapping[str, object], columns: bytes, where: str) -> Fingerprint:
    """Assemble a record from its readable part and its columns, which ``where`` names in errors.

    Raises:
        DamagedError: if the columns are damaged or cut off.
        ValueError: if the two do not match, for example after an edit.
        KeyError, TypeError, EOFError, LZMAError and others: if they are damaged.
    """
    older = document["format"] != FORMAT
    document = current_document(document)
    environment = _ENVIRONMENT.validate_python(document["environment"])
    repeats = _REPEATS.validate_python(dict(document)["noise"]["repeats"])  # type: ignore[index]
    record = unpack(unxz(columns, where), environment, repeats, where)
    record = current_stages(record) if older else record
    expected = json.loads(_text(readable(record)))
    if edited := [name for name in expected if expected[name] != document.get(name)]:
        raise ValueError(f"{', '.join(edited)} not as in the columns")
    notices = document.get("notices")
    return replace(record, notices=notices) if isinstance(notices, dict) else record


def failed(stages: Mapping[str, StageRecord]) -> dict[str, str]:
    """Return the stages that failed, each with the line of its error."""
    return {name: stage.failed for name, stage in stages.items() if stage.failed}


def _text(document: Mapping[str, object]) -> str:
    return json.dumps(document, indent=2) + "\n"


def _digest(columns: bytes) -> str:
    return hashlib.sha256(columns).hexdigest()[:16]


def migrate(path: Path) -> bool:
    """Rewrite a record of an older format in the current one; return whether it was older.

    The reasons of a blessed snapshot are kept.

    Raises:
        DataError: as :func:`read_fingerprint`.
    """
    record = read_fingerprint(path)
    with _checked(str(path)):
        document = _document(_record_text(path), str(path))
    if document["format"] == FORMAT:
        return False
    blessings = document.get("blessings")
    write_fingerprint(record, path, blessings if isinstance(blessings, list) else ())
    return True
