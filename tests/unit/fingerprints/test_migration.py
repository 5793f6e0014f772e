"""Records of format 1 are read, compared and rewritten as records of now."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess
from types import ModuleType

import pytest

from benchmark.errors import DataError
from benchmark.fingerprints import migration, storage
from benchmark.fingerprints.attribution import suspects
from benchmark.fingerprints.compare import compare
from benchmark.fingerprints.digests import StageRecord
from benchmark.fingerprints.record import Fingerprint
from benchmark.runs.environment import code_digests

OLD_NAMES = {"prompt_ids": "tokens", "generated_ids": "output", "counts": "verdict"}

Fakes = Callable[[str], ModuleType]
Commands = Callable[..., CompletedProcess[str]]


@pytest.fixture
def record(fakes: Fakes) -> Fingerprint:
    """A record of now, whose answers were not reached."""
    made: Fingerprint = fakes("fake_record").fake_record()
    failed = StageRecord(failed="not reached: generated_ids failed")
    environment = replace(made.environment, protocol={"name": "vanilla", "max_new_tokens": 256})
    stages = {**made.stages, "answer": failed}
    return replace(made, environment=environment, stages=stages)


@pytest.fixture
def old_file(
    record: Fingerprint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[[str], Path]:
    """``old_file(name)``: the same record, written as version 0.1 wrote it."""
    stages = {
        OLD_NAMES.get(name, name): replace(
            stage, failed=stage.failed and stage.failed.replace("generated_ids", "output")
        )
        for name, stage in record.stages.items()
    }
    environment = replace(
        record.environment, protocol={**record.environment.protocol, "name": "plain use"}
    )

    def write(name: str) -> Path:
        with monkeypatch.context() as patch:
            patch.setattr(storage, "FORMAT", 1)
            path = tmp_path / "records" / name
            old = replace(record, stages=stages, environment=environment)
            storage.write_fingerprint(old, path, [{"reason": "first"}] if ".gz" not in name else ())
        return path

    return write


@pytest.mark.parametrize("name", ["old.json", "old.json.gz"])
def test_a_record_of_format_1_is_one_of_now(
    record: Fingerprint, old_file: Callable[[str], Path], name: str
) -> None:
    """Its stages, failures and kind have the names of now, and nothing differs from it."""
    read = storage.read_fingerprint(old_file(name))
    assert list(read.stages) == list(record.stages)
    assert read.kind == "vanilla"
    assert read.stages["answer"].failed == "not reached: generated_ids failed"
    assert compare(read, record).severity == "same"
    assert compare(read, record).uncompared == {}


@pytest.mark.parametrize("name", ["old.json", "old.json.gz"])
def test_migrate_rewrites_it_once(old_file: Callable[[str], Path], name: str) -> None:
    """The file has the format of now afterwards, with the reasons that it was blessed with."""
    path = old_file(name)
    before = storage.read_fingerprint(path)
    assert storage.migrate(path)
    assert not storage.migrate(path)
    assert storage.readable(storage.read_fingerprint(path)) == storage.readable(before)
    if name == "old.json":
        document = json.loads(path.read_text())
        assert (document["format"], document["blessings"]) == (2, [{"reason": "first"}])
        assert {"prompt_ids", "generated_ids", "counts"} < document["stages"].keys()


def test_the_command_takes_files_and_folders(
    command_line: Commands, old_file: Callable[[str], Path], tmp_path: Path
) -> None:
    """It says of each record what it did; other JSON in a folder is left alone, a lack is said."""
    pair, packed = old_file("a.json"), old_file("b.json.gz")
    (pair.parent / "other.json").write_text("{}")
    first = command_line("migrate", str(pair.parent))
    assert first.stdout.splitlines() == [f"migrated: {pair}", f"migrated: {packed}"]
    again = command_line("migrate", str(pair), str(packed))
    assert again.stdout.splitlines() == [f"current: {pair}", f"current: {packed}"]
    (tmp_path / "empty").mkdir()
    lack = command_line("migrate", str(tmp_path / "empty"))
    assert lack.returncode == 2
    assert "no fingerprint" in lack.stderr


@pytest.mark.parametrize("change", [{"stages": None}, {"environment": []}])
def test_a_damaged_old_record_is_one_line(
    old_file: Callable[[str], Path], change: dict[str, object]
) -> None:
    """What an edit left of it is named as damage, not as a traceback."""
    path = old_file("a.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(DataError, match=r"damaged \(.*\); record it again"):
        storage.read_fingerprint(path)


def test_a_file_that_moved_is_paired_with_itself(record: Fingerprint) -> None:
    """Its digest is compared with that of its place of now; unchanged, it is no suspect."""
    old = replace(record, code={"decoding/walking.py": "a", "boxes/world.py": "a"})
    new = replace(record, code={"decoding/constraint_trace.py": "a", "boxes/world.py": "b"})
    assert [s.name for s in suspects(old, new, "constraint") if s.changed] == ["boxes/world.py"]


def test_every_move_ends_at_a_file() -> None:
    """The table names no place that is gone, and no file of now as one that moved."""
    files = code_digests()
    for before, now in migration._moved().items():
        assert now in files, f"{before}: moved on from {now}; name its place of now"
        assert before not in files
