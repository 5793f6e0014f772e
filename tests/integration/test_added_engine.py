"""Adding an engine takes a module and a row of the table."""

import json
import os
import shutil
import sys
import tomllib
from pathlib import Path

import pytest

from benchmark.decoding.engines import ENGINES, EngineRow, row_from_json
from benchmark.fingerprints.stages import STAGES
from benchmark.fingerprints.storage import read_fingerprint
from benchmark.records import Tally
from benchmark.tasks import DEFAULT, task_named
from fakes import worked_examples
from fakes.command_line import command_line

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "fixtures" / "models" / "copy-a"
STATES = 1


@pytest.fixture(autouse=True)
def rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Add two engines: that of docs/extending.md, and one that loads no weights.

    This process and its children can import their modules.
    """
    page = worked_examples.examples()
    modules = tmp_path / "modules"
    modules.mkdir()
    engine = page.files["benchmark/decoding/naive_engine.py"]
    (modules / "naive_engine.py").write_text(engine, encoding="utf-8")
    ((name, fields),) = tomllib.loads(page.appended["benchmark/decoding/engines.toml"]).items()
    naive = row_from_json({"name": name, **fields, "factory": "naive_engine:create"})
    recital = EngineRow(
        "recital", "the right answer", "fakes.recital_engine:create", loads_weights=False
    )
    for row in (naive, recital):
        monkeypatch.setitem(ENGINES, row.name, row)
    folders = [str(modules), str(ROOT / "tests")]
    for folder in folders:
        monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(folders))
    # Each test writes its own file of that name.
    monkeypatch.delitem(sys.modules, "naive_engine", raising=False)


def test_run_and_fingerprint(tmp_path: Path) -> None:
    """Both use the row's engine, record it, and have the tokens of the project's own engine."""
    common = ("--states", str(STATES), "--device", "cpu")
    for engine in ("naive", "speculative"):
        out = tmp_path / engine
        done = command_line("run", "--model", MODEL, "--engine", engine, "--out", out, *common)
        assert done.returncode == 0, done.stderr
        record = tmp_path / f"{engine}.json.gz"
        done = command_line("fingerprint", MODEL, "--engine", engine, "--out", record, *common)
        assert done.returncode == 0, done.stderr
    texts = [
        (tmp_path / name / "predictions.jsonl").read_text() for name in ("naive", "speculative")
    ]
    assert texts[0] == texts[1]
    result = json.loads((tmp_path / "naive" / "result.json").read_text())
    assert result["protocol"]["engine"] == "naive"
    assert result["protocol"]["changed"] == ["engine"]
    assert result["constraint"]["expression"] == task_named(DEFAULT).expression
    done = command_line("compare", tmp_path / "speculative.json.gz", tmp_path / "naive.json.gz")
    assert done.returncode == 0, done.stdout
    assert read_fingerprint(tmp_path / "naive.json.gz").environment.protocol["engine"] == "naive"


def test_speed(tmp_path: Path, warm_programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker process, which has no such row, gets it from the measuring process."""
    monkeypatch.setattr(sys, "executable", str(warm_programs / "python"))
    out = tmp_path / "speed.json"
    settings = ("--states", "1", "--repeats", "1", "--device", "cpu", "--dtype", "float32")
    engines = "naive,recital"
    done = command_line(
        "speed", "--model", MODEL, "--engines", engines, "--json-file", out, *settings
    )
    assert done.returncode == 0, done.stderr
    naive, recital = json.loads(out.read_text())["engines"]
    tokens = len(naive["rounds"][0]["answers"][0])
    assert naive["rounds"][0]["passes"] == tokens + 1
    assert recital["rounds"][0]["passes"] is None


@pytest.fixture
def without_weights(tmp_path: Path) -> Path:
    """A copy of the model whose weights cannot be loaded."""
    folder = shutil.copytree(MODEL, tmp_path / "model")
    (folder / "model.safetensors").write_bytes(b"no weights")
    return folder


def test_an_engine_without_weights(tmp_path: Path, without_weights: Path) -> None:
    """Weights are not loaded for it, and its answers are right by every score."""
    common = ("--engine", "recital", "--states", "2", "--device", "cpu")
    out = tmp_path / "recital"
    done = command_line("run", "--model", without_weights, "--out", out, *common, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["overall"] == result["exact"]["overall"] == {"correct": 14, "total": 14}
    record = tmp_path / "recital.json.gz"
    done = command_line("fingerprint", without_weights, "--out", record, "--repeats", "1", *common)
    assert done.returncode == 0, done.stderr
    assert "no noise floor" in done.stderr
    fingerprint = read_fingerprint(record)
    assert STAGES.keys() - fingerprint.stages.keys() == {"weights", "logits"}
    assert not any(stage.failed for stage in fingerprint.stages.values())
    assert fingerprint.counts["exact"].overall == Tally(14, 14)
    done = command_line("run", "--model", without_weights, "--out", tmp_path / "x", *common[2:])
    assert done.returncode == 2


def test_missing_package_is_reported_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is one line with the package, before data, tokenizer or weights are read."""
    row = EngineRow("far", "not here", "far:create", needs=("no_such_package",))
    monkeypatch.setitem(ENGINES, "far", row)
    out = tmp_path / "out"
    done = command_line("run", "--model", tmp_path / "none", "--engine", "far", "--out", out)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: engine far needs the package no_such_package; pip install")
    assert not out.exists()


def test_engines_of_speed_only(tmp_path: Path) -> None:
    """``run`` refuses them in one line that lists its own engines."""
    done = command_line(
        "run", "--model", MODEL, "--engine", "vllm-tuned", "--out", tmp_path / "out"
    )
    assert done.returncode == 2
    assert "'vllm-tuned' is not one of 'speculative', 'outlines', 'unconstrained'" in done.stderr
    assert "naive" in done.stderr
