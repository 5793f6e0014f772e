"""Code or environment: told apart by running the old code now."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmark.errors import SettingError
from benchmark.pipeline import isolation
from benchmark.pipeline.isolation import isolate, probe_of
from benchmark.pipeline.probes import Probe
from benchmark.regression.environment import Environment
from benchmark.regression.layers import project_root
from benchmark.regression.record import Record
from benchmark.regression.stages import Stage, digest
from benchmark.regression.storage import write_record


def _record(outcome: str) -> Record:
    stages = {name: Stage((digest([name]),)) for name in ("dataset", "prompt")}
    stages["weights"] = Stage((digest([outcome]),))
    protocol = {"name": "default", "dtype": "float32", "batch_size": 4, "quantization": None}
    return Record(Environment(protocol=protocol, data={"seed": 3, "states": 1}), stages)


@pytest.mark.parametrize(
    ("old", "old_code_now", "new_code_now", "verdict"),
    [
        ("a", "a", "a", "nothing"),
        ("a", "b", "b", "the environment"),
        ("a", "a", "b", "the code"),
        ("a", "b", "c", "both"),
    ],
)
def test_who_it_was(
    old: str,
    old_code_now: str,
    new_code_now: str,
    verdict: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the old code gives now is the environment's doing, the rest is the code's."""

    @contextmanager
    def folder(repository: Path, commit: str) -> Iterator[Path]:
        yield tmp_path / commit

    def run(python: Path, project: Path, wanted: Probe, out: Path, along: Path) -> None:
        write_record(_record(new_code_now if project == project_root() else old_code_now), out)

    monkeypatch.setattr(isolation, "worktree", folder)
    monkeypatch.setattr(isolation, "run_probe", run)
    path = tmp_path / "old.json.gz"
    write_record(_record(old), path)
    found = isolate(path, "model", lambda line: None, commit="abc")
    assert found.verdict.startswith(verdict)
    assert found.lines()[-1] == f"it was {found.verdict}"
    assert found.as_json()["commit"] == "abc"


def test_a_run_that_makes_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its last line is the error."""
    monkeypatch.setattr(isolation, "run_probe", lambda *_: "ImportError: gone")
    path = tmp_path / "old.json.gz"
    write_record(_record("a"), path)
    with pytest.raises(SettingError, match="makes no record here: ImportError: gone"):
        isolation._record(probe_of(_record("a"), "m"), tmp_path, tmp_path / "x", path)


def test_the_record_says_how_it_was_made() -> None:
    """Seed, states and every setting of the protocol that was not left out."""
    probe = probe_of(_record("a"), "owner/name")
    assert probe.kind == "fingerprint"
    assert " ".join(probe.arguments) == (
        "owner/name --seed 3 --states 1 --protocol default --dtype float32 --batch-size 4"
    )
    plain = Record(Environment(protocol={"name": "plain use"}, data={"states": 2}), {})
    assert probe_of(plain, "owner/name") == Probe(
        "plain", ("owner/name", "--seed", "0", "--states", "2"), ""
    )


def test_data_of_a_file_is_refused() -> None:
    """A record does not hold where it is."""
    record = Record(Environment(data={"source": "mine.jsonl"}), {})
    with pytest.raises(SettingError, match="came from a file"):
        probe_of(record, "model")
