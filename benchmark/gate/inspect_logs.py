"""Logs of Inspect: ``.eval``, a ZIP archive of JSON, or ``.json``.

An archive has ``header.json`` with the task, and one file per sample and epoch in ``samples/``.
"""

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from benchmark.errors import DataError, reason
from benchmark.gate.samples import Sample, TaskLog, cluster_of, digest, score
from benchmark.reading.bounds import current_bounds
from benchmark.reading.documents import check_no_pointer, json_object
from benchmark.reading.files import open_regular, read_bytes, read_text
from benchmark.reading.unpacking import DamagedError, check_archive, read_member, unzstd

KIND = "Inspect"

_GRADES = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
"""Inspect's values of correct, partial, incorrect and no answer, as its own metrics count them."""

_WORDS = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
"""Other texts that Inspect's ``value_to_float`` counts, in lower case."""

_HEAD = re.compile(rb'\s*\{.*?"eval"\s*:\s*\{', re.DOTALL)
_HEAD_SIZE = 4096

_ARCHIVE_ERRORS = (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, OSError)

_ZSTANDARD = 93
"""The ZIP format's number of Zstandard, which Inspect uses and Python reads from 3.14 on."""

_HEADER = struct.Struct("<26x2H")
"""The fixed part of a member's header, which ends with the lengths of its name and extra field."""

Document = Mapping[str, object]


def is_log(path: Path) -> bool:
    """Return whether a file is such a log: by its name, or by how its JSON begins.

    Raises:
        DataError: if it is JSON and cannot be read.
    """
    if path.suffix != ".json":
        return path.suffix == ".eval"
    try:
        with open_regular(path) as file:
            return _HEAD.match(file.read(_HEAD_SIZE)) is not None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {reason(error)}") from error


def read(path: Path, cluster: str | None) -> dict[str, TaskLog]:
    """Return the task of a log.

    Args:
        path: an ``.eval`` or ``.json`` file.
        cluster: a field of the samples' metadata that says which belong together; by default the
            epochs of a sample do.

    Raises:
        DataError: if the file is damaged, is no such log, or has a sample twice.
    """
    header, documents = _archive(path) if path.suffix == ".eval" else _document(path)
    samples = dict[tuple[str, str], Sample]()
    graded = set[str]()
    for document, where in documents:
        key = (str(document.get("id")), str(document.get("epoch", 1)))
        if key in samples:
            raise DataError(f"{where}: sample {key[0]!r} of epoch {key[1]} a second time")
        samples[key] = _sample(document, cluster, where)
        graded |= {
            name for name, value in _values(document) if isinstance(value, str) and value in _GRADES
        }
    failed = sum(not sample.metrics for sample in samples.values())
    directions, evaluation = dict.fromkeys(graded, True), _evaluation(header)
    task = evaluation.get("task")
    if not isinstance(task, str):
        raise DataError(f"{path}: no log of {KIND}: it names no task")
    model = _model(evaluation)
    return {task: TaskLog([*samples.values()], directions, failed, _unfinished(header), model)}


def _model(evaluation: Document) -> str:
    """Return the model's name, with its path if it is a local one: all of these are hf/local."""
    arguments = evaluation.get("model_args")
    path = arguments.get("model_path") if isinstance(arguments, dict) else None
    return " ".join(name for name in (evaluation.get("model"), path) if isinstance(name, str))


def _unfinished(header: Document) -> str:
    """Return a status other than success, such as ``error`` or ``cancelled``."""
    status = header.get("status", "success")
    return "" if status == "success" else f"status {status}"


def _evaluation(header: Document) -> Document:
    """Return what the header says of the evaluation, such as its task and model."""
    evaluation = header.get("eval")
    return evaluation if isinstance(evaluation, dict) else {}


def _document(path: Path) -> tuple[Document, Iterator[tuple[Document, str]]]:
    document = json_object(read_text(path), str(path), strict=False)
    samples = document.get("samples")
    if not isinstance(samples, list) or not all(isinstance(row, dict) for row in samples):
        raise DataError(f"{path}: no log of {KIND}, or one without its samples")
    numbered = enumerate(samples, start=1)
    return document, ((row, f"{path}: sample {number}") for number, row in numbered)


def _archive(path: Path) -> tuple[Document, Iterator[tuple[Document, str]]]:
    content = read_bytes(path, current_bounds().unpacked)
    check_no_pointer(content, str(path))
    check_archive(content, str(path))
    archive = _Archive(path, content, zipfile.ZipFile(io.BytesIO(content)))
    members = {member.filename: member for member in archive.file.infolist()}
    if len(members) < len(archive.file.infolist()):
        raise DataError(f"{path}: a file is in the archive twice; use the log of one run")
    if "header.json" not in members:
        raise DataError(f"{path}: no log of {KIND}, or an unfinished one: no header.json")
    names = [name for name in members if name.startswith("samples/")]
    if not names:
        raise DataError(f"{path}: no log of {KIND}, or one without samples")
    header = _member(archive, members["header.json"])
    return header, ((_member(archive, members[name]), f"{path}: {name}") for name in names)


class _Archive(NamedTuple):
    """A ZIP archive, with its content."""

    path: Path
    content: bytes
    file: zipfile.ZipFile


def _member(archive: _Archive, member: zipfile.ZipInfo) -> Document:
    where = f"{archive.path}: {member.filename}"
    try:
        if member.compress_type == _ZSTANDARD:
            packed = _packed(archive.content, member)
            text = unzstd(packed, where, member.file_size, member.CRC).decode()
        else:
            with archive.file.open(member) as file:
                text = read_member(file, where).decode()
    except DataError:
        raise
    except (*_ARCHIVE_ERRORS, ValueError) as error:
        raise DamagedError(f"{where}: damaged, or packed in another way: {error}") from error
    return json_object(text, where, strict=False)


def _packed(content: bytes, member: zipfile.ZipInfo) -> bytes:
    """Return the packed data of a member, which follow its header, name and extra field."""
    start = member.header_offset
    header = content[start : start + _HEADER.size]
    if len(header) < _HEADER.size:
        raise zipfile.BadZipFile("no header where the directory says")
    names = sum(_HEADER.unpack(header)[-2:])
    return content[start + _HEADER.size + names :][: member.compress_size]


def _sample(document: Document, cluster: str | None, where: str) -> Sample:
    if "id" not in document or "input" not in document:
        raise DataError(f"{where}: no sample of {KIND}: it needs id and input")
    asked = (document.get(name) for name in ("id", "target", "choices"))
    identity = digest(_input(document["input"]), *asked)
    epoch = document.get("epoch", 1)
    group = cluster_of((document.get("metadata"), document), cluster, where) or identity
    return Sample(f"{identity}-{epoch}", dict(_metrics(document)), _prompt(document), group)


def _input(value: object) -> object:
    """Return an input; of messages role and content, since each run draws their ids at random."""
    return [*map(_message, value)] if isinstance(value, list) else value


def _message(message: object) -> object:
    if not isinstance(message, dict):
        return message
    return [message.get("role"), message.get("content")]


def _prompt(document: Document) -> str:
    """Return the digest of the messages before the first answer."""
    messages = document.get("messages")
    given = list[object]()
    for message in messages if isinstance(messages, list) else ():
        if not isinstance(message, dict) or message.get("role") == "assistant":
            break
        given.append(_message(message))
    return digest(given) if given else ""


def _metrics(document: Document) -> Iterator[tuple[str, float]]:
    """Yield the scores as numbers, as Inspect's ``value_to_float`` does; no others."""
    for name, value in _values(document):
        number = _grade(value) if isinstance(value, str) else score(value)
        if number is not None:
            yield name, number


def _values(document: Document) -> Iterator[tuple[str, object]]:
    """Yield the scores: by scorer, or by scorer and key if a scorer has several values."""
    scorers = document.get("scores")
    for scorer, result in scorers.items() if isinstance(scorers, dict) else ():
        value = result.get("value") if isinstance(result, dict) else None
        values = value if isinstance(value, dict) else {"": value}
        for key, one in values.items():
            yield (f"{scorer}/{key}" if key else str(scorer)), one


def _grade(text: str) -> float | None:
    """Return the number of a grade, a word such as ``yes``, or a number as text."""
    word = text.lower()
    if (grade := _GRADES.get(text, _WORDS.get(word))) is not None:
        return grade
    try:
        return score(float(word))
    except ValueError:
        return None
