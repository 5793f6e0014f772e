"""Pack the arrays and lists of a record, which no person reads, into one block of bytes."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.fingerprints.digests import StageRecord
from benchmark.fingerprints.logits import IntArray, Logits
from benchmark.fingerprints.noise import Repeat
from benchmark.fingerprints.record import Allowed, AllowedSet, Fingerprint, Sample
from benchmark.reading.documents import json_object
from benchmark.reading.unpacking import check_archive
from benchmark.records import TokenIds
from benchmark.runs.environment import Environment
from benchmark.scoring.outcomes import MAIN, main_first, outcomes_by_score, read_scores

Arrays = Mapping[str, NDArray[np.uint8]]


def pack(record: Fingerprint) -> bytes:
    """Pack all of a record that :func:`benchmark.fingerprints.storage.readable` leaves out."""
    stages = {name: asdict(stage) for name, stage in record.stages.items()}
    allowed = record.allowed
    words = {
        "stages": {name: {**stage, "digests": None} for name, stage in stages.items()},
        "texts": record.texts,
        "outcomes": main_first(outcomes_by_score({MAIN: (), **record.scores})),
        "errors": record.errors,
        "samples": [asdict(sample) for sample in record.samples],
        "code": dict(record.code),
        "sets": [asdict(allowed_set) for allowed_set in allowed.sets] if allowed else None,
    }
    columns = {
        "words": np.frombuffer(json.dumps(words).encode(), dtype=np.uint8),
        "lengths": _planes(np.array(record.lengths, dtype=np.int32)),
        **_ragged("path", record.path),
        **_ragged("output", record.output),
        **_ragged("along", allowed.along if allowed else ()),
    }
    for name, stage in record.stages.items():
        digests = bytes.fromhex("".join(stage.digests))
        columns[f"digests.{name}"] = np.frombuffer(digests, dtype=np.uint8)
    if record.logits:
        columns["logits.ids"] = _planes(record.logits.ids.T)
        columns["logits.steps"] = _planes(record.logits.steps.T)
        columns["logits.lengths"] = _planes(np.array(record.logits.lengths, dtype=np.int32))
    buffer = io.BytesIO()
    np.savez(buffer, **columns)  # type: ignore[arg-type]  # numpy's stub takes them for allow_pickle
    return buffer.getvalue()


def unpack(
    data: bytes, environment: Environment, repeats: tuple[Repeat, ...], where: str
) -> Fingerprint:
    """Unpack a record, given what its readable part holds; ``where`` names the data in errors.

    Raises:
        DamagedError: if the bytes are not an archive.
        KeyError, TypeError, ValueError: if the bytes are damaged.
    """
    check_archive(data, where)
    with np.load(io.BytesIO(data), allow_pickle=False) as loaded:
        columns = {name: loaded[name] for name in loaded.files}
    words: dict[str, Any] = json_object(columns["words"].tobytes().decode(), where)
    allowed = None
    if words["sets"] is not None:
        sets = tuple(AllowedSet(**allowed_set) for allowed_set in words["sets"])
        allowed = Allowed(sets, _rows(columns, "along"))
    return Fingerprint(
        environment=environment,
        stages={
            name: StageRecord(_digests(columns[f"digests.{name}"]), stage["failed"])
            for name, stage in words["stages"].items()
        },
        path=_rows(columns, "path"),
        output=_rows(columns, "output"),
        texts=tuple(words["texts"]),
        lengths=tuple(_numbers(columns["lengths"]).tolist()),
        allowed=allowed,
        logits=_logits(columns),
        scores={by: scored for by, scored in read_scores(words["outcomes"]).items() if scored},
        errors=_errors(words),
        samples=tuple(Sample(s["prompt"], tuple(s["token_ids"])) for s in words["samples"]),
        repeats=repeats,
        code=words["code"],
    )


def _errors(words: Mapping[str, object]) -> tuple[str, ...]:
    """Return the types of error of each state; records of older versions have none."""
    errors = words.get("errors", [])
    if not isinstance(errors, list):
        raise TypeError("errors are not a list")
    if any(not isinstance(codes, str) for codes in errors):
        raise TypeError("the errors of a state are not letters")
    return tuple(errors)


def _digests(column: NDArray[np.uint8]) -> tuple[str, ...]:
    text = column.tobytes().hex()
    return tuple(text[start : start + 12] for start in range(0, len(text), 12))


def _logits(columns: Arrays) -> Logits | None:
    if "logits.ids" not in columns:
        return None
    lengths = tuple(_numbers(columns["logits.lengths"]).tolist())
    ids, steps = (
        _numbers(columns[name]).reshape(-1, sum(lengths)).T.copy()
        for name in ("logits.ids", "logits.steps")
    )
    return Logits(ids, steps, lengths)


def _ragged(name: str, rows: Sequence[TokenIds]) -> dict[str, NDArray[np.uint8]]:
    flat = np.array([i for row in rows for i in row], dtype=np.int32)
    lengths = np.array([len(row) for row in rows], dtype=np.int32)
    return {f"{name}.ids": _planes(flat), f"{name}.lengths": _planes(lengths)}


def _rows(columns: Arrays, name: str) -> tuple[TokenIds, ...]:
    lengths = _numbers(columns[f"{name}.lengths"])
    parts = np.split(_numbers(columns[f"{name}.ids"]), np.cumsum(lengths)[:-1])
    return tuple(tuple(part.tolist()) for part in parts) if len(lengths) else ()


def _planes(numbers: IntArray) -> NDArray[np.uint8]:
    """Return the bytes of integers, all lowest bytes first: similar bytes compress better."""
    flat = np.ascontiguousarray(numbers, dtype="<i4").reshape(-1)
    return np.ascontiguousarray(flat.view(np.uint8).reshape(-1, 4).T)


def _numbers(planes: NDArray[np.uint8]) -> IntArray:
    return np.ascontiguousarray(planes.T).view("<i4").reshape(-1).astype(np.int32)
