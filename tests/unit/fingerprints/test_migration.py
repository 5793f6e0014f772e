"""Records of format 1 are read, compared and rewritten in the current format."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.errors import DataError
from benchmark.fingerprints import migration, storage
from benchmark.fingerprints.attribution import suspects
from benchmark.fingerprints.compare import compare
from benchmark.fingerprints.digests import StageRecord
from benchmark.fingerprints.record import Fingerprint
from benchmark.runs.environment import code_digests
from fakes.command_line import command_line
from fakes.fake_fingerprints import fake_fingerprint

OLD_NAMES = {"prompt_ids": "tokens", "generated_ids": "output", "counts": "verdict"}


@pytest.fixture
def record() -> Fingerprint:
    """A current record whose answers were not reached."""
    current: Fingerprint = fake_fingerprint()
    failed = StageRecord(failed="not reached: generated_ids failed")
    environment = replace(current.environment, protocol={"name": "vanilla", "max_new_tokens": 256})
    stages = {**current.stages, "answer": failed}
    return replace(current, environment=environment, stages=stages)


@pytest.fixture
def old_file(
    record: Fingerprint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[[str], Path]:
    """``old_file(name)``: the same record as version 0.1 wrote it."""
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
def test_format_1_is_read_as_current(
    record: Fingerprint, old_file: Callable[[str], Path], name: str
) -> None:
    """Stages, failures and kind have their current names, and nothing differs."""
    read = storage.read_fingerprint(old_file(name))
    assert list(read.stages) == list(record.stages)
    assert read.kind == "vanilla"
    assert read.stages["answer"].failed == "not reached: generated_ids failed"
    assert compare(read, record).severity == "same"
    assert compare(read, record).uncompared == {}


@pytest.mark.parametrize("name", ["old.json", "old.json.gz"])
def test_migrate_rewrites_a_record_once(old_file: Callable[[str], Path], name: str) -> None:
    """The file then has the current format and keeps its blessings."""
    path = old_file(name)
    before = storage.read_fingerprint(path)
    assert storage.migrate(path)
    assert not storage.migrate(path)
    assert storage.readable(storage.read_fingerprint(path)) == storage.readable(before)
    if name == "old.json":
        document = json.loads(path.read_text())
        assert (document["format"], document["blessings"]) == (2, [{"reason": "first"}])
        assert {"prompt_ids", "generated_ids", "counts"} < document["stages"].keys()


def test_command_takes_files_and_folders(old_file: Callable[[str], Path], tmp_path: Path) -> None:
    """It reports each record, skips other JSON, and fails without records."""
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
def test_damaged_old_record_is_an_error(
    old_file: Callable[[str], Path], change: dict[str, object]
) -> None:
    """The error names the damage in one line."""
    path = old_file("a.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(DataError, match=r"damaged \(.*\); record it again"):
        storage.read_fingerprint(path)


def test_moved_file_is_compared_with_itself(record: Fingerprint) -> None:
    """An unchanged file is not a suspect because it moved."""
    old = replace(record, code={"decoding/walking.py": "a", "boxes/world.py": "a"})
    new = replace(record, code={"decoding/constraint_trace.py": "a", "boxes/world.py": "b"})
    assert [s.name for s in suspects(old, new, "constraint") if s.changed] == ["boxes/world.py"]


def test_moved_files_exist() -> None:
    """The table names no missing file, and no current file as a moved one."""
    files = code_digests()
    for before, now in migration._moved().items():
        assert now in files, f"{before}: moved to {now}, which is gone; name its current path"
        assert before not in files
