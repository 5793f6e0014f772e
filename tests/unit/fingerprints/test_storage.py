"""Writing and reading records, and the errors of damaged files."""

import base64
import gzip
import hashlib
import json
import lzma
from contextvars import ContextVar
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from benchmark.errors import DataError
from benchmark.fingerprints import storage
from benchmark.fingerprints.compare import Severity, compare
from benchmark.fingerprints.digests import StageRecord
from benchmark.fingerprints.record import Fingerprint
from benchmark.fingerprints.storage import (
    columns_path,
    compressed,
    failed,
    fingerprint_text,
    move_fingerprint,
    read_fingerprint,
    read_text,
    write_fingerprint,
)
from benchmark.reading import bounds
from fakes.fake_fingerprints import with_changed_stage


def _same(one: Fingerprint, other: Fingerprint) -> bool:
    simple = [replace(record, logits=None) for record in (one, other)]
    if one.logits is None or other.logits is None:
        return asdict(simple[0]) == asdict(simple[1]) and one.logits is other.logits
    return asdict(simple[0]) == asdict(simple[1]) and all(
        np.array_equal(getattr(one.logits, name), getattr(other.logits, name))
        for name in ("ids", "steps", "lengths")
    )


@pytest.mark.parametrize("name", ["record.json", "record.json.gz"])
def test_round_trip(record: Fingerprint, tmp_path: Path, name: str) -> None:
    """Both forms preserve every field of a record."""
    write_fingerprint(record, tmp_path / "new" / name)
    assert _same(read_fingerprint(tmp_path / "new" / name), record)


def test_round_trip_of_a_failed_run(record: Fingerprint, tmp_path: Path) -> None:
    """A record without logits, answers and constraint is preserved too."""
    stages = {
        **record.stages,
        "prompt_ids": StageRecord(failed="ValueError: no (tokenizers/x.py:1)"),
    }
    broken = replace(
        record,
        stages=stages,
        path=(),
        output=(),
        texts=(),
        lengths=(),
        allowed=None,
        logits=None,
        scores={},
        samples=(),
    )
    write_fingerprint(broken, tmp_path / "record.json")
    again = read_fingerprint(tmp_path / "record.json")
    assert _same(again, broken)
    assert failed(again.stages) == {"prompt_ids": "ValueError: no (tokenizers/x.py:1)"}


@pytest.mark.parametrize("name", ["record.json", "record.json.gz"])
def test_notices_are_kept_and_not_compared(record: Fingerprint, tmp_path: Path, name: str) -> None:
    """The words of libraries are in the record and change nothing in a comparison."""
    noticed = replace(record, notices={"weights": {"library_warnings": ["a warning"]}})
    write_fingerprint(noticed, tmp_path / name)
    again = read_fingerprint(tmp_path / name)
    assert again.notices == noticed.notices
    assert compare(record, again).severity is Severity.SAME
    assert compressed(again) == compressed(record)


def test_equal_records_have_equal_bytes(record: Fingerprint) -> None:
    """The columns do not depend on time or machine."""
    assert compressed(record) == compressed(read_text(fingerprint_text(record)))


def test_readable_part(record: Fingerprint, tmp_path: Path) -> None:
    """It has environment, digests, counts, floor and reasons, and no states."""
    write_fingerprint(record, tmp_path / "record.json", [{"reason": "first"}])
    text = (tmp_path / "record.json").read_text()
    document = json.loads(text)
    assert document["by_numops"] == {
        "0": {"correct": 2, "total": 2},
        "1": {"correct": 0, "total": 3},
        "2": {"correct": 1, "total": 1},
    }
    assert document["nontrivial"] == {"correct": 1, "total": 4}
    assert document["noise"]["floor"] == 0.04
    assert document["blessings"] == [{"reason": "first"}]
    assert document["environment"]["versions"]["torch"] == "2.13"
    assert "contains" not in text


def test_round_trip_of_both_scores(record: Fingerprint, tmp_path: Path) -> None:
    """Another score is under its name; a record without it stays without it."""
    wrong = tuple(replace(outcome, correct=(False, False)) for outcome in record.outcomes)
    strict = replace(record, scores={**record.scores, "exact": wrong})
    write_fingerprint(strict, tmp_path / "new.json")
    document = json.loads((tmp_path / "new.json").read_text())
    assert document["overall"] == {"correct": 3, "total": 6}
    assert document["exact"]["overall"] == {"correct": 0, "total": 6}
    assert _same(read_fingerprint(tmp_path / "new.json"), strict)
    older = replace(record, scores={"set": record.outcomes})
    write_fingerprint(older, tmp_path / "old.json")
    assert "exact" not in json.loads((tmp_path / "old.json").read_text())
    assert _same(read_fingerprint(tmp_path / "old.json"), older)


def test_damage_is_a_one_line_error(record: Fingerprint, tmp_path: Path) -> None:
    """Any damage to a file is a DataError that names the file."""
    path = tmp_path / "record.json"
    with pytest.raises(DataError, match="No such file"):
        read_fingerprint(path)
    write_fingerprint(record, path)
    columns = columns_path(path)
    with pytest.raises(DataError, match=f"only the columns; name {path.name} instead"):
        read_fingerprint(columns)
    content = columns.read_bytes()
    columns.write_bytes(content[:-9])
    with pytest.raises(DataError, match="belongs to a different record"):
        read_fingerprint(path)
    columns.unlink()
    with pytest.raises(DataError, match=columns.name):
        read_fingerprint(path)
    for text, words in (
        ('{"overall": {}}', "not a fingerprint; python -m benchmark fingerprint writes one"),
        ('{"format": 7}', "format 7 is unknown, 1, 2 are supported; record it again"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=words):
            read_fingerprint(path)
    zipped = tmp_path / "record.json.gz"
    zipped.write_bytes(b"no gzip")
    with pytest.raises(DataError, match="not gzip, or damaged"):
        read_fingerprint(zipped)
    text = fingerprint_text(record).replace('"columns": "', '"columns": "0000')
    zipped.write_bytes(gzip.compress(text.encode()))
    with pytest.raises(DataError, match="damaged"):
        read_fingerprint(zipped)


@pytest.mark.parametrize("step", ["write_bytes", "write_text", "replace"])
def test_a_failure_at_any_step_leaves_a_whole_record(
    record: Fingerprint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    """The old one until its JSON is replaced, the new one from then on; nothing else is left."""
    path = tmp_path / "record.json"
    write_fingerprint(record, path)
    new = with_changed_stage(record, "answer", (0,))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        if step == "replace":
            patch.setattr(storage, "columns_path", lambda _: tmp_path / "no" / "folder")
        else:
            patch.setattr(storage, step, full)
        with pytest.raises(OSError, match=r"No space left|No such file"):
            write_fingerprint(new, path)
    assert _same(read_fingerprint(path), new if step == "replace" else record)
    write_fingerprint(new, path)
    assert _same(read_fingerprint(path), new)
    assert {path.name for path in tmp_path.iterdir()} == {"record.json", "record.columns.xz"}


@pytest.mark.parametrize("step", ["write_bytes", "write_text"])
def test_moving_leaves_a_whole_record(
    record: Fingerprint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A move that fails leaves the old record and the new one; then the new one replaces it."""
    source, path = tmp_path / ".record.json", tmp_path / "record.json"
    new = with_changed_stage(record, "answer", (0,))
    write_fingerprint(record, path)
    write_fingerprint(new, source, [{"reason": "right"}])
    written = source.read_bytes(), columns_path(source).read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(storage, step, full)
        with pytest.raises(OSError, match="No space left"):
            move_fingerprint(source, path)
    assert _same(read_fingerprint(path), record)
    assert _same(read_fingerprint(source), new)
    move_fingerprint(source, path)
    assert (path.read_bytes(), columns_path(path).read_bytes()) == written
    assert {path.name for path in tmp_path.iterdir()} == {"record.json", "record.columns.xz"}


def test_what_unpacks_to_gigabytes_is_refused(
    record: Fingerprint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the record is packed, or only its columns are."""
    path = tmp_path / "bomb.json.gz"
    path.write_bytes(gzip.compress(b"\0" * 4096))
    zeros = lzma.compress(b"\0" * 4096)
    text = json.dumps(
        {**json.loads(fingerprint_text(record)), "columns": base64.b85encode(zeros).decode()}
    )
    tight = ContextVar[bounds.Bounds]("tight")
    tight.set(bounds.Bounds(unpacked=2048))
    monkeypatch.setattr(bounds, "_BOUNDS", tight)
    with pytest.raises(DataError, match=r"bomb\.json\.gz: unpacks to more than 2 KiB"):
        read_fingerprint(path)
    with pytest.raises(DataError, match=r"mine\.json: its columns: unpacks to more than 2 KiB"):
        read_text(text, "mine.json")


def _edited(text: str, **changed: object) -> str:
    return json.dumps(json.loads(text) | changed)


@pytest.mark.parametrize(
    "change",
    [
        {"environment": []},
        {"environment": {"hardware": ["AVX2"]}},
        {"noise": {}},
        {"noise": {"floor": 0.04, "repeats": [{"largest": "x"}]}},
        {"overall": {"correct": 6, "total": 6}},
        {"stages": {}},
        {"states": 2},
    ],
    ids=str,
)
def test_edited_record_is_refused(record: Fingerprint, change: dict[str, object]) -> None:
    """Wrong types, and figures that differ from the columns, are one-line errors."""
    with pytest.raises(DataError, match=r"^mine.json: damaged \(.*\); record it again$") as error:
        read_text(_edited(fingerprint_text(record), **change), "mine.json")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("inner", [b"PK\x03\x04 a broken archive", b"", b"no columns at all"])
def test_foreign_columns_are_refused(record: Fingerprint, inner: bytes) -> None:
    """The bytes decompress but are not a record's columns."""
    columns = base64.b85encode(lzma.compress(inner)).decode()
    with pytest.raises(DataError, match="damaged"):
        read_text(_edited(fingerprint_text(record), columns=columns))


def test_damaged_columns_are_named(record: Fingerprint, tmp_path: Path) -> None:
    """With their file, or that of the record, and the next step."""
    path = tmp_path / "a.json"
    write_fingerprint(record, path)
    damaged = columns_path(path).read_bytes()[:-9]
    columns_path(path).write_bytes(damaged)
    path.write_text(_edited(path.read_text(), columns=hashlib.sha256(damaged).hexdigest()[:16]))
    with pytest.raises(DataError, match=r"a\.columns\.xz: not xz, or damaged.*; record it again$"):
        read_fingerprint(path)
    text = _edited(fingerprint_text(record), columns=base64.b85encode(b"junk").decode())
    with pytest.raises(DataError, match=r"^b: its columns: not xz, .*; record it again$"):
        read_text(text, "b")
    (tmp_path / "a.json.gz").write_bytes(b"junk")
    with pytest.raises(DataError, match=r"a\.json\.gz: not gzip, .*; record it again$"):
        read_fingerprint(tmp_path / "a.json.gz")


def test_deeply_nested_json_is_refused() -> None:
    """It does not crash the reader."""
    with pytest.raises(DataError, match="nested too deeply"):
        read_text("[" * 200_000)


def test_stored_copy_is_equal(record: Fingerprint) -> None:
    """A record is equal to its stored copy."""
    assert compare(record, read_text(fingerprint_text(record))).severity is Severity.SAME
