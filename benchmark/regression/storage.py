"""Records on disk: JSON that a person reads, and columns that only the comparison reads.

``NAME.json`` has environment, counts, noise and a digest a stage; the columns are beside it in
``NAME.columns.xz``, so that a pull request shows the one and not the other. ``NAME.json.gz`` has
both in one file.
"""

import base64
import gzip
import hashlib
import json
import lzma
from collections.abc import Mapping
from pathlib import Path

from benchmark.errors import DataError
from benchmark.records import Tally
from benchmark.regression.columns import pack, unpack
from benchmark.regression.environment import Environment
from benchmark.regression.logits import RESOLUTION
from benchmark.regression.noise import Repeat, floor
from benchmark.regression.record import Record
from benchmark.regression.stages import STAGES, Stage

FORMAT = 1

_GZIP = ".gz"


def columns_path(path: Path) -> Path:
    """Where the columns of ``NAME.json`` are."""
    return path.with_suffix(".columns.xz")


def write_record(record: Record, path: Path) -> None:
    """Write a record to ``NAME.json`` and ``NAME.columns.xz``, or to ``NAME.json.gz``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = compressed(record)
    if path.suffix == _GZIP:
        document = {**readable(record), "columns": base64.b85encode(columns).decode()}
        path.write_bytes(gzip.compress(_text(document).encode(), mtime=0))
        return
    columns_path(path).write_bytes(columns)
    path.write_text(_text({**readable(record), "columns": _digest(columns)}), encoding="utf-8")


def read_record(path: Path) -> Record:
    """The record in a file that :func:`write_record` wrote.

    Raises:
        DataError: when there is none, or it is damaged, or its columns are of another record.
    """
    try:
        raw = path.read_bytes()
        document = json.loads(gzip.decompress(raw) if path.suffix == _GZIP else raw)
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise DataError(f"{path}: not a fingerprint of format {FORMAT}; record it again")
        if path.suffix == _GZIP:
            columns = base64.b85decode(str(document["columns"]))
        else:
            columns = columns_path(path).read_bytes()
            if _digest(columns) != document["columns"]:
                raise DataError(f"{columns_path(path)}: of another record than {path.name}")
        return restored(document, columns)
    except OSError as error:
        raise DataError(f"{error.filename or path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, EOFError, lzma.LZMAError) as error:
        raise DataError(f"{path}: damaged ({error!r:.100}); record it again") from error


def readable(record: Record) -> dict[str, object]:
    """What a person reads of a record, as JSON."""
    counts = record.counts
    return {
        "format": FORMAT,
        "environment": record.environment.as_json(),
        "states": record.states,
        "stages": {name: record.stages[name].failed or record.stages[name].digest
                   for name in STAGES if name in record.stages},
        "overall": _tally(counts.overall),
        "nontrivial": _tally(counts.nontrivial),
        "by_numops": {str(n): _tally(tally) for n, tally in counts.by_numops.items()},
        "noise": {
            "floor": floor(record.repeats).largest,
            "repeats": [repeat.as_json() for repeat in record.repeats],
        },
        "resolution": RESOLUTION,
    }  # fmt: skip


def compressed(record: Record) -> bytes:
    """The columns of a record; the same record gives the same bytes."""
    return lzma.compress(pack(record), preset=9 | lzma.PRESET_EXTREME)


def restored(document: Mapping[str, object], columns: bytes) -> Record:
    """The record of a readable part and its columns.

    Raises:
        KeyError, TypeError, ValueError, EOFError, LZMAError: when they are damaged.
    """
    environment, noise = document["environment"], document["noise"]
    if not isinstance(environment, dict) or not isinstance(noise, dict):
        raise TypeError("environment and noise are no objects")
    repeats = tuple(Repeat(**repeat) for repeat in noise["repeats"])
    return unpack(lzma.decompress(columns), Environment(**environment), repeats)


def failed(stages: Mapping[str, Stage]) -> dict[str, str]:
    """The stages that failed, with the line of the error."""
    return {name: stage.failed for name, stage in stages.items() if stage.failed}


def _tally(tally: Tally) -> dict[str, int]:
    return {"correct": tally.correct, "total": tally.total}


def _text(document: Mapping[str, object]) -> str:
    return json.dumps(document, indent=2) + "\n"


def _digest(columns: bytes) -> str:
    return hashlib.sha256(columns).hexdigest()[:16]
